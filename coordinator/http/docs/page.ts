import type { ERRORS } from '../../errors';
import {
  type ApiDocument,
  answersOf,
  bodyOf,
  nameOf,
  schemaNamed,
  type Parameter,
  type Route,
  routesOf,
  type Schema,
} from './document';
import { exampleAnswer } from './example';
import { fieldsOf, parametersOf, plainTypeOf } from './fields';
import { html, ICON, type Markup, withCode } from './markup';
import { SAMPLE_URL, samplesOf } from './samples';

export interface Page {
  document: ApiDocument;
  errors: typeof ERRORS;
  /** Of the coordinator. */
  version: string;
  /** URLs of its style and script. */
  style: string;
  script: string;
}

/**
 * The reference as one page of plain HTML. It can be read without the script, which searches, copies and makes calls.
 */
export function renderPage({ document, errors, version, style, script }: Page): string {
  const routes = routesOf(document);
  const groups = document.tags
    .map((tag) => ({ ...tag, routes: routes.filter(({ tags }) => tags.includes(tag.name)) }))
    .filter((group) => group.routes.length > 0);
  return `<!doctype html>\n${
    html`<html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${document.info.title} API reference</title>
        <link rel="icon" href="${ICON}" />
        <link rel="stylesheet" href="${style}" />
        <script src="${script}" defer></script>
      </head>
      <body data-sample-url="${SAMPLE_URL}">
        <a class="skip" href="#content">To the content</a>
        <header class="top">
          <a class="brand" href="#top">${document.info.title}</a> <span>API reference</span>
          <span class="version">${version}</span> <a class="raw" href="/openapi.json">OpenAPI</a>
        </header>
        <div class="frame">
          <nav aria-label="Operations">
            <details open class="menu">
              <summary>Contents</summary>
              <p class="search" hidden>
                <input
                  type="search"
                  id="search"
                  placeholder="Search"
                  aria-label="Search operations and shapes"
                  autocomplete="off"
                  spellcheck="false"
                /><kbd>/</kbd>
              </p>
              <p class="none" hidden>No operation or shape contains all of these words.</p>
              <ul class="starts">
                <li><a href="#top">How to call</a></li>
                <li><a href="#errors">Errors</a></li>
              </ul>
              ${groups.map(
                ({ name, routes: own }) =>
                  html`<div class="group">
                    <h2><a href="#${anchor(name)}">${name}</a></h2>
                    <ul>
                      ${own.map(link)}
                    </ul>
                  </div> `,
              )}
              <div class="group">
                <h2><a href="#shapes">Shapes</a></h2>
                <ul>
                  ${Object.keys(document.components.schemas).map((name) => html`<li><a href="#schema-${name}">${name}</a></li>`)}
                </ul>
              </div>
            </details>
          </nav>
          <main id="content">
            ${introduction(document)} ${errorTable(errors)}
            ${groups.map(
              ({ name, description, routes: own }) =>
                html`<section class="chapter" id="${anchor(name)}">
                    <h2>${name}</h2>
                    <p>${description}</p>
                  </section>
                  ${own.map((route) => operation(route, document))}`,
            )}
            <section class="chapter" id="shapes">
              <h2>Shapes</h2>
              <p>Shapes of requests and answers.</p>
            </section>
            ${Object.entries(document.components.schemas).map(
              ([name, schema]) =>
                html`<section class="item shape" id="schema-${name}">
                  <h3><a href="#schema-${name}">${name}</a></h3>
                  ${fieldsOf(schema, document)}
                </section> `,
            )}
          </main>
        </div>
      </body>
    </html> `.text
  }`;
}

function link({ method, path, operationId, summary }: Route): Markup {
  return html`<li>
    <a href="#${operationId}" title="${summary}"
      ><span class="method ${method}">${method}</span> <span class="path">${path}</span></a
    >
  </li>`;
}

function introduction({ info }: ApiDocument): Markup {
  const [summary = '', ...lines] = info.description.split('\n').filter((line) => line !== '');
  return html`<section class="item intro" id="top">
    <h1>${info.title}</h1>
    <p class="lead">${summary}</p>
    <div class="columns">
      <ul class="notes">
        ${lines.map((line) => html`<li>${withCode(line.replace(/^- /, ''))}</li>`)}
      </ul>
      <div class="code">
        <pre><code>export KEY=… # an API key; that of npm start is in .baton/admin-key

curl "${SAMPLE_URL}/jobs" \\
  -H "Authorization: Bearer $KEY" \\
  -H 'Content-Type: application/json' \\
  -d '{"type": "send-mail", "arguments": {"to": "ada@example.com"}}'</code></pre>
        <form class="key" hidden>
          <label
            >API key for trying calls
            <input id="key" type="password" autocomplete="off" spellcheck="false" placeholder="baton_…"
          /></label>
          <button type="button" class="forget">Forget</button>
          <p>
            Kept in this tab until it is closed, and sent only to this coordinator.
            <span class="who" role="status"></span>
          </p>
        </form>
      </div>
    </div>
  </section>`;
}

function errorTable(errors: typeof ERRORS): Markup {
  return html`<section class="item" id="errors">
    <h2><a href="#errors">Errors</a></h2>
    <p>
      Every error is a <a href="#schema-Problem">Problem</a>, sent as <code>application/problem+json</code>. Program
      against its <code>code</code>, which never changes its meaning; the texts are for people.
    </p>
    <div class="wide">
      <table>
        <thead>
          <tr>
            <th>Code</th>
            <th>Status</th>
            <th>Means</th>
            <th>What to do</th>
          </tr>
        </thead>
        <tbody>
          ${Object.entries(errors).map(
            ([code, { status, title, remedy }]) =>
              html`<tr>
                <td><code>${code}</code></td>
                <td>${status}</td>
                <td>${title}</td>
                <td>${withCode(remedy)}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

function operation(route: Route, document: ApiDocument): Markup {
  const body = bodyOf(route);
  const roles =
    route.security === undefined
      ? (/^Roles: (.*)\.$/.exec(route.description ?? '')?.[1]?.split(', ') ?? [])
      : ['everyone, without a key'];
  return html`<section class="item" id="${route.operationId}">
    <h3><a href="#${route.operationId}">${route.summary}</a></h3>
    <p class="route"><span class="method ${route.method}">${route.method}</span> <code>${route.path}</code></p>
    <div class="columns">
      <div>
        <p class="roles">For ${roles.map((role) => html`<span>${role}</span>`)}</p>
        ${PLACES.map(([place, title]) =>
          parameterList(
            title,
            route.parameters.filter((one) => one.in === place),
            document,
          ),
        )}
        ${
          body !== null &&
          html`<h4>Body</h4>
            ${bodyFields(body, document)}`
        }
        <h4>Answers</h4>
        ${answersOf(route).map(
          ({ status, type, schema, headers }) =>
            html`<details class="answer">
              <summary>
                <span class="status">${status}</span>
                ${schema === null ? 'no body' : plainTypeOf(schema)}
                ${type !== null && type !== 'application/json' && html`<span class="type">${type}</span>`}
              </summary>
              ${schema !== null && fieldsOf(schema, document)}${headers.map(([name, description]) => html`<p class="limits"><code>${name}</code>: ${withCode(description)}</p>`)}
            </details>`,
        )}
        <p class="limits">or an <a href="#errors">error</a></p>
      </div>
      <div class="code">${examples(route, document)}</div>
    </div>
  </section> `;
}

function bodyFields(schema: Schema, document: ApiDocument): Markup {
  const named = schemaNamed(nameOf(schema) ?? '', document);
  return named === undefined
    ? fieldsOf(schema, document)
    : html`${fieldsOf(schema, document)}
        <details open>
          <summary>Fields</summary>
          ${fieldsOf(named, document)}
        </details>`;
}

const PLACES = [
  ['path', 'In the path'],
  ['query', 'In the query'],
  ['header', 'Headers'],
] as const;

function parameterList(title: string, parameters: Parameter[], document: ApiDocument): Markup | null {
  return parameters.length === 0
    ? null
    : html`<h4>${title}</h4>
        ${parametersOf(parameters, document)}`;
}

function examples(route: Route, document: ApiDocument): Markup {
  const answer = answersOf(route).find(({ schema, type }) => schema !== null && type === 'application/json');
  const samples = samplesOf(route, document);
  const { method, path } = route;
  return html`<p class="tabs" role="tablist" hidden>
      ${samples.map(({ language, title }) => html`<button type="button" role="tab" data-language="${language}">${title}</button>`)}
    </p>
    ${samples.map(
      ({ language, code }) =>
        html`<div class="sample" data-language="${language}">
          <pre><code>${code}</code></pre>
        </div>`,
    )}
    <button type="button" class="try" data-method="${method}" data-path="${path}" aria-expanded="false" hidden>
      Try it
    </button>
    ${
      answer !== undefined &&
      answer.schema !== null &&
      html`<details class="example">
        <summary>Example of an answer, ${answer.status}</summary>
        <pre><code>${JSON.stringify(exampleAnswer(route.operationId, answer.status, answer.schema, document), null, 2)}</code></pre>
      </details>`
    }`;
}

function anchor(name: string): string {
  return `group-${name.toLowerCase().replace(/\W+/g, '-')}`;
}
