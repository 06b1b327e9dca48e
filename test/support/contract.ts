import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Problem } from '@baton/runner-sdk/protocol';
import Ajv2020, { type ValidateFunction } from 'ajv/dist/2020';
import addFormats from 'ajv-formats';
import { ERRORS } from '../../coordinator/errors';
import { describe, documentationEndpoints } from '../../coordinator/http/docs/openapi';
import { ENDPOINTS } from '../../coordinator/http/server';

/** An answer as it left the coordinator. */
export interface Told {
  method: string;
  /** With the query. */
  url: string;
  status: number;
  headers: Record<string, unknown>;
  body: string;
}

interface Documented {
  headers?: Record<string, object>;
  content?: Record<string, unknown>;
}

interface Route {
  pattern: RegExp;
  template: string;
  methods: Record<string, { responses: Record<string, Documented> }>;
}

interface Document {
  paths: Record<string, Route['methods']>;
  components: { responses: Record<string, Documented> };
}

/** Holds every answer against the OpenAPI document: route, status, media type, headers and body. */
export class Contract {
  /** What answers were not as the document says. */
  readonly breaches: string[] = [];

  /** Reads along with every answer of this server, whoever asked for it, before it is sent. */
  watch(server: Server): void {
    server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
      let body = '';
      // Headers that are written at once, without being set before.
      const written: Record<string, unknown> = {};
      const writeHead = response.writeHead.bind(response) as (...args: unknown[]) => ServerResponse;
      response.writeHead = (status: number, headers?: unknown) => {
        if (Array.isArray(headers))
          for (let at = 0; at < headers.length; at += 2) written[String(headers[at]).toLowerCase()] = headers[at + 1];
        return headers === undefined ? writeHead(status) : writeHead(status, headers);
      };
      const headersOf = () => ({ ...response.getHeaders(), ...written });
      const end = response.end.bind(response) as (...args: unknown[]) => ServerResponse;
      const write = response.write.bind(response) as (...args: unknown[]) => boolean;
      response.write = ((chunk: unknown, ...rest: unknown[]) => {
        body += String(chunk);
        return write(chunk, ...rest);
      }) as ServerResponse['write'];
      response.end = ((chunk?: unknown, ...rest: unknown[]) => {
        if (typeof chunk === 'string' || Buffer.isBuffer(chunk)) body += String(chunk);
        this.hear(request, response.statusCode, headersOf(), body);
        return end(chunk, ...rest);
      }) as ServerResponse['end'];
      // Streams end when their reader goes away.
      response.once('close', () => {
        if (!response.writableEnded && isStream(headersOf()))
          this.hear(request, response.statusCode, headersOf(), body);
      });
    });
  }

  /** @throws {Error} once an answer was not as the document says. */
  requireKept(): void {
    if (this.breaches.length > 0)
      throw new Error(`not as the OpenAPI document says:\n${this.breaches.slice(0, 5).join('\n')}`);
  }

  private hear(
    { method = '', url = '' }: IncomingMessage,
    status: number,
    headers: Record<string, unknown>,
    body: string,
  ): void {
    const fault = this.faultOf({ method, url, status, headers, body });
    if (fault !== null) this.breaches.push(`${method} ${url} > ${status}: ${fault}; it was ${body.slice(0, 3000)}`);
  }

  /** What the document does not say of this answer. */
  faultOf(told: Told): string | null {
    const { routes, document } = openBook();
    const path = told.url.replace(/\?.*$/, '');
    const method = told.method === 'HEAD' ? 'get' : told.method.toLowerCase();
    const route = routes.find((one) => one.pattern.test(path) && method in one.methods);
    if (route === undefined) return this.unroutedFault(told, document);
    const { responses = {} } = route.methods[method] ?? {};
    const key = [String(told.status), `${String(told.status).slice(0, 1)}XX`].find((one) => one in responses);
    if (key === undefined)
      return `${route.template} does not list this status, but ${Object.keys(responses).join(', ')}`;
    const pointer = ['paths', route.template, method, 'responses', key].map(escaped).join('/');
    const isProblem = key.endsWith('XX');
    return this.answerFault(
      told,
      isProblem ? (document.components.responses['Problem'] ?? {}) : (responses[key] ?? {}),
      isProblem ? 'components/responses/Problem' : pointer,
    );
  }

  /**
   * Beside the routes there are only refusals, the answers to preflights, and the files of the dashboard, which are no
   * API.
   */
  private unroutedFault(told: Told, document: Document): string | null {
    if (told.method === 'OPTIONS' && told.status === 204) return null;
    if (told.status < 400 && /^\/dashboard(\/|$|\?)/.test(told.url)) return null;
    if (told.status < 400) return 'no such route is listed';
    return this.answerFault(told, document.components.responses['Problem'] ?? {}, 'components/responses/Problem');
  }

  private answerFault(told: Told, documented: Documented, pointer: string): string | null {
    const { status, headers, body, method } = told;
    const unlisted = Object.keys(headers).find(
      (name) => isOurs(name) && !Object.keys(documented.headers ?? {}).some((one) => one.toLowerCase() === name),
    );
    if (unlisted !== undefined) return `the header ${unlisted} is not listed`;
    if (headers['x-request-id'] === undefined) return 'it has no X-Request-Id';
    if ((status === 429 || status === 503) && !/^[1-9]\d*$/.test(String(headers['retry-after'])))
      return 'it has no Retry-After in seconds';
    const types = Object.keys(documented.content ?? {});
    if (types.length === 0) return body === '' ? null : 'it has a body, and none is listed';
    const type = String(headers['content-type']).replace(/;.*$/, '');
    if (!types.includes(type)) return `its type ${type} is not listed, but ${types.join(', ')}`;
    if (method === 'HEAD') return null;
    return this.bodyFault(told, type, `${pointer}/content/${escaped(type)}/schema`);
  }

  private bodyFault({ status, headers, body }: Told, type: string, pointer: string): string | null {
    if (isStream(headers))
      return (
        dataOf(body)
          .map((data) => this.schemaFault(data, pointer))
          .find((fault) => fault !== null) ?? null
      );
    if (!type.endsWith('json')) return null;
    const value: unknown = JSON.parse(body);
    const fault = this.schemaFault(value, pointer);
    if (fault !== null || type !== 'application/problem+json') return fault;
    const problem = value as Problem;
    if (problem.status !== status || ERRORS[problem.code].status !== status)
      return `a problem of code ${problem.code} and status ${problem.status}`;
    return problem.requestId === headers['x-request-id'] ? null : 'its requestId is not its X-Request-Id';
  }

  private schemaFault(value: unknown, pointer: string): string | null {
    const validate = openBook().validate(pointer);
    if (validate(value)) return null;
    return (validate.errors ?? [])
      .map(
        ({ instancePath, message, params }) =>
          `${instancePath === '' ? 'body' : instancePath} ${message} ${JSON.stringify(params)}`,
      )
      .join(', ');
  }
}

interface Book {
  routes: Route[];
  document: Document;
  /** Of the schema at this place in the document; compiled when it is first wanted. */
  validate: (pointer: string) => ValidateFunction;
}

let book: Book | undefined;

/** The document is read once in a test file, and only if anything is asked. */
function openBook(): Book {
  return (book ??= readBook());
}

function readBook(): Book {
  const document = closed(describe([...ENDPOINTS, ...documentationEndpoints(ENDPOINTS)])) as Document;
  const ajv = new Ajv2020({ strict: false });
  addFormats(ajv);
  ajv.addSchema(document, 'openapi');
  const compiled = new Map<string, ValidateFunction>();
  const validate = (pointer: string): ValidateFunction => {
    const made = compiled.get(pointer) ?? ajv.compile({ $ref: `openapi#/${pointer}` });
    compiled.set(pointer, made);
    return made;
  };
  const routes = Object.entries(document.paths).map(([template, methods]) => ({
    template,
    methods,
    pattern: patternOf(template),
  }));
  // A path that is written out comes before one with parameters.
  routes.sort((one, other) => one.template.split('{').length - other.template.split('{').length);
  return { routes, document, validate };
}

/**
 * The document lets answers grow new fields, because clients must; in the tests a field that it does not name is a
 * fault of the document.
 */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const inside = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  const isOpen = inside['type'] === 'object' && 'properties' in inside && !('additionalProperties' in inside);
  return isOpen ? { ...inside, additionalProperties: false } : inside;
}

/** Headers that mean something in this contract only; others are HTTP's own. */
function isOurs(name: string): boolean {
  return name.startsWith('baton-') || name === 'x-request-id';
}

/** As routes are matched: whatever the case, with or without a slash at the end. */
function patternOf(template: string): RegExp {
  return new RegExp(`^${template.replace(/[.+*?^$()|[\]\\]/g, '\\$&').replace(/\{\w+\}/g, '[^/]+')}/?$`, 'i');
}

/** A name within a JSON pointer that stands in a URI. */
function escaped(part: string): string {
  return encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'));
}

function isStream(headers: Told['headers']): boolean {
  return String(headers['content-type']).startsWith('text/event-stream');
}

/** The data of the events of a stream, without those that only tell where it begins. */
function dataOf(stream: string): unknown[] {
  const frames = stream.split('\n\n').slice(0, -1);
  const told = frames.filter((frame) => /^event: /m.test(frame) && !/^event: (ready|gap)$/m.test(frame));
  return told.map((frame) => JSON.parse(/^data: (.*)$/m.exec(frame)?.[1] ?? 'null') as unknown);
}
