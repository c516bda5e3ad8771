import { type CataloguedEvent, type EventSection, SECTIONS } from './event-catalog.ts';
import { definitionOf, type FieldRow, fieldsOf } from './schema-fields.ts';

interface About {
  readonly version: string;
  readonly namespace: string;
}

/** The page at `/docs/events`: plain HTML without scripts, which loads only its own style sheet. */
export const eventPage = (events: readonly CataloguedEvent[], { version, namespace }: About): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>OpenMusic events</title>
<link rel="stylesheet" href="events.css">
</head>
<body>
<header>
<h1>OpenMusic events <span class="badge">${escaped(version)}</span> <span class="badge kind">AsyncAPI 3.0</span></h1>
<p><a href="../asyncapi.json">asyncapi.json</a> · <a href="../registry/subjects">schema registry</a> · <a href="../docs">API</a></p>
<p>Every event there is, in its newest version, with an example from a run. Events are records of a log: Avro in the Confluent
wire format, under the key of their stream. Which records of the log are events is decided by one rule, which every reader repeats;
see <code>docs/reference/log-format.md</code>. In the examples, as in all JSON of OpenMusic, times are texts; in Avro they are numbers.</p>
<nav>${SECTIONS.map(({ name, title }) => `<a href="#${name}">${title}</a>`).join('\n')}</nav>
</header>
<main>
${SECTIONS.map((section) => sectionOf(section, events, namespace)).join('\n')}
</main>
</body>
</html>
`;

function sectionOf(section: EventSection, events: readonly CataloguedEvent[], namespace: string): string {
  const own = events.filter((event) => event.section === section.name);
  const where =
    section.topic === undefined
      ? 'in each event topic'
      : `topic <code>${escaped(`${namespace}.${section.topic}`)}</code>`;
  return `<section id="${section.name}" class="${section.name}">
<h2>${section.title} <small>${where}</small></h2>
${own.map(eventOf).join('\n')}
</section>`;
}

const eventOf = ({ type, schema, writer, readers, example }: CataloguedEvent): string => `<details id="${type}">
<summary><span class="id">id ${schema.id} · v${schema.version}</span> <b>${type}</b> <span class="doc">${escaped(definitionOf(schema).doc ?? '')}</span></summary>
<div class="body">
<dl>
<dt>Written by</dt><dd>${escaped(writer)}</dd>
<dt>Read by</dt><dd>${readers.map((reader) => `<span class="reader">${escaped(reader)}</span>`).join(' ')}</dd>
<dt>Schema</dt><dd><a href="../registry/schemas/ids/${schema.id}/schema">${escaped(schema.subject)}, version ${schema.version}, id ${schema.id}</a></dd>
</dl>
<h3>Fields</h3>
<table>
<thead><tr><th>field</th><th>type</th><th>unit</th><th>meaning</th></tr></thead>
<tbody>
${fieldsOf(definitionOf(schema)).map(rowOf).join('\n')}
</tbody>
</table>
<h3>Example</h3>
<pre><code>${escaped(JSON.stringify(example, null, 2))}</code></pre>
</div>
</details>`;

const rowOf = ({ path, type, unit, doc }: FieldRow): string =>
  `<tr><td class="name"><code>${breakable(path)}</code></td><td>${escaped(type)}</td><td>${unit}</td><td>${escaped(doc)}</td></tr>`;

/** A line can break after each part of the path. */
const breakable = (path: string): string => escaped(path).replaceAll('.', '.<wbr>');

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

const escaped = (text: string): string => text.replace(/[&<>"]/g, (character) => ENTITIES[character] ?? character);
