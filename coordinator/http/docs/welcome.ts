import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import { type AnyEndpoint, endpoint, reply } from '../core/endpoint';
import { html, ICON } from './markup';

const welcome = z.object({
  name: z.string().describe('Always `Baton`.'),
  version: z.string().describe('Version of the coordinator.'),
  dashboard: z.string().describe('Path of the dashboard, for browsers.'),
  docs: z.string().describe('Path of the API reference, for people.'),
  openapi: z.string().describe('Path of the OpenAPI document.'),
  llms: z.string().describe('Path of the API as one text.'),
  health: z.string().describe('Path of the health report; needs a key.'),
});

const PATHS = {
  dashboard: '/dashboard/',
  docs: '/docs',
  openapi: '/openapi.json',
  llms: '/llms.txt',
  health: '/health',
};

/** The address of the coordinator itself: a page for browsers, JSON for programs. */
export function welcomeEndpoint(style: string): AnyEndpoint {
  return endpoint({
    method: 'get',
    path: '/',
    summary: 'Find the documentation, as a page for browsers or as JSON',
    roles: 'public',
    replies: { 200: welcome },
    hasPage: true,
    run: async ({ services, header }) => {
      const { version } = services.processState;
      const headers = { Vary: 'Accept' };
      if (header('accept')?.includes('text/html') !== true)
        return Promise.resolve(reply(200, { name: 'Baton', version, ...PATHS }, headers));
      const send = (response: ServerResponse): void => {
        response.setHeader('Content-Type', 'text/html; charset=utf-8');
        response.end(renderWelcome(version, style));
      };
      return Promise.resolve({ status: 200, body: null, headers, send });
    },
  });
}

function renderWelcome(version: string, style: string): string {
  const links = [
    [PATHS.dashboard, 'Dashboard', 'jobs, queues, runners and everything else, live; sign in with an API key'],
    [PATHS.docs, 'API reference', 'every operation with its fields and examples; calls can be tried from the page'],
    [PATHS.openapi, 'OpenAPI document', 'for generators of clients, and for tools such as Postman'],
    [PATHS.llms, 'llms.txt', 'the API as one text'],
    [PATHS.health, 'Health', 'jobs, runners, database and monitor; needs a key'],
    ['/readyz', 'Readiness', 'for load balancers; needs no key'],
  ];
  return `<!doctype html>\n${
    html`<html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>Baton</title>
        <link rel="icon" href="${ICON}" />
        <link rel="stylesheet" href="${style}" />
      </head>
      <body>
        <main class="welcome">
          <h1>Baton</h1>
          <p class="lead">A job queue over HTTP. This coordinator is running, version ${version}.</p>
          <dl class="fields">
            ${links.map(
              ([path, title, about]) =>
                html`<div>
                  <dt><a href="${path}">${title}</a> <code class="type">${path}</code></dt>
                  <dd>${about}</dd>
                </div> `,
            )}
          </dl>
          <p class="is">
            Calls need an API key. A coordinator started with <code>npm start</code> keeps its admin key in
            <code>.baton/admin-key</code>.
          </p>
        </main>
      </body>
    </html> `.text
  }`;
}
