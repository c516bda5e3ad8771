# One image for every role and for the commands of `openmusic`; docker-compose.yml says which it plays.
FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# What is optional is the embedded PostgreSQL and a Node of its own; here both are elsewhere.
RUN npm ci --omit=dev --omit=optional --ignore-scripts

FROM node:24-bookworm-slim
ENV NODE_ENV=production
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
