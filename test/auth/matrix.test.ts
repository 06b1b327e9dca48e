import { randomUUID } from 'node:crypto';
import type { Role } from '@baton/runner-sdk/protocol';
import type { AnyEndpoint } from '../../coordinator/http/core/endpoint';
import { documentationEndpoints } from '../../coordinator/http/docs/openapi';
import { ENDPOINTS } from '../../coordinator/http/server';
import type { Answer } from '../support/api';
import { namingFields } from './matrix/fields';
import { type Expected, nameOf, NOT_FOUND, type Place, REFUSED, type Row } from './matrix/row';
import { ROWS } from './matrix/rows';
import { type Caller, type Owner, ROLES, Stage, STRANGERS, type Thing } from './matrix/stage';

// Every route, as `endpoint()` declares it, is asked by every role, and by callers whose credentials are no good, about
// things of their own, of others, that are not there, and by what is no id, wherever in a request an id stands. What
// must come of it stands in the rows; a route, or an id in one, without a row fails.

const NO_ID = 'no id\u0000';
const OTHERS: readonly Owner[] = ['ben', null];

let stage: Stage;
beforeAll(async () => (stage = await Stage.open()));
afterAll(() => stage.coordinator.stop());

const routes = ENDPOINTS.map((endpoint) => [nameOf(endpoint), endpoint] as const);

test.each(routes)('%s has a row, with a place for each of its ids', (name, endpoint) => {
  expect(whatIsMissing(name, endpoint)).toBeNull();
});

test('there is no row without a route', () => {
  expect(Object.keys(ROWS).filter((name) => !routes.some(([route]) => route === name))).toEqual([]);
});

test('what needs no key is this, and nothing else', () => {
  const all = [...ENDPOINTS, ...documentationEndpoints(ENDPOINTS)];
  expect(all.filter(({ roles }) => roles === 'public').map(nameOf)).toEqual([
    'GET /gates/:id',
    'POST /gates/:id',
    'POST /session',
    'GET /healthz',
    'GET /readyz',
    'GET /openapi.json',
    'GET /docs',
    'GET /docs/reference.css',
    'GET /docs/reference.js',
    'GET /llms.txt',
    'GET /',
  ]);
});

describe.each(routes.filter(([name]) => ROWS[name] !== undefined))('%s', (name, endpoint) => {
  const { places } = ROWS[name] ?? { places: [] };
  const allowed: readonly Role[] = endpoint.roles === 'public' ? ROLES : endpoint.roles;

  test.each(places.map((place, index) => [describePlace(place, index), place] as const))(
    '%s',
    async (_place, place) => {
      for (const role of allowed) await expectAllowed(endpoint, place, role);
      const refused: [Caller, Expected][] = [
        ...ROLES.filter((role) => !allowed.includes(role)).map((role): [Caller, Expected] => [
          role,
          [403, '"forbidden"'],
        ]),
        ...STRANGERS.map((stranger): [Caller, Expected] => [stranger, [401, '"unauthenticated"']]),
      ];
      if (endpoint.roles !== 'public' && place.isCredential !== true) await expectRefused(endpoint, place, refused);
    },
  );

  if (endpoint.method !== 'get') {
    test('is told to the audit in its own transaction, as it declares', async () => {
      const acts = new Set<string>();
      for (const place of places) {
        const thing = await make(place, 'ann');
        const before = await stage.now();
        const barred = await stage.withoutAudit(() => call(endpoint, place, 'admin', thing));
        const requestId = randomUUID();
        if (barred.status === 500) expect(await stage.changesSince(before)).toEqual([]);
        const answer = barred.status === 500 ? await call(endpoint, place, 'admin', thing, requestId) : barred;
        expectTold(describePlace(place, 0), answer, expected(place.ok, 'admin'));
        const told = await stage.actsOf(requestId);
        expect([describePlace(place, 0), told.length > 0]).toEqual([describePlace(place, 0), barred.status === 500]);
        for (const act of told) acts.add(act);
      }
      expect([...acts].sort()).toEqual(Array.isArray(endpoint.audit) ? [...(endpoint.audit as string[])].sort() : []);
    });
  }
});

test.each(['Basic abc', 'Bearer', 'Bearer  ', 'bearer a b', 'Token abc'])(
  '%s is no credential',
  async (authorization) => {
    expect((await stage.api('nobody').call('get', '/jobs', { headers: { authorization } })).status).toBe(401);
  },
);

test('the scheme may be written in any case', async () => {
  expect(
    (
      await stage
        .api('nobody')
        .call('get', '/jobs', { headers: { authorization: `bearer ${stage.coordinator.adminKey}` } })
    ).status,
  ).toBe(200);
});

interface Told {
  status: number;
  text: string;
  headers: Answer['headers'];
}

async function expectAllowed(endpoint: AnyEndpoint, place: Place, role: Role): Promise<void> {
  const isScoped = place.isOwned !== false && (role === 'user' || (role === 'runner' && endpoint.roles !== 'public'));
  const missing = typeof place.missing === 'function' ? place.missing(role) : (place.missing ?? NOT_FOUND);
  const own = await make(place, 'ann');
  expectTold(`${role}, own`, await call(endpoint, place, role, own), expected(place.ok, role));
  const strange: [string, Thing, Expected][] =
    place.at.length === 0
      ? []
      : [
          ['missing', replaced(place, own, () => randomUUID()), missing],
          ['malformed', replaced(place, own, () => NO_ID), place.malformed ?? REFUSED],
        ];
  const answers = new Map<string, string>();
  for (const [kind, thing, wanted] of strange) {
    const before = await stage.now();
    const told = await call(endpoint, place, role, thing);
    expectTold(`${role}, ${kind}`, told, wanted);
    answers.set(kind, without(told.text, thing));
    if (told.status >= 400 || isScoped)
      expect([role, kind, await stage.changesSince(before)]).toEqual([role, kind, []]);
  }
  if (place.isOwned === false) return;
  for (const owner of place.others ?? OTHERS) {
    const thing = await make(place, owner);
    const before = await stage.now();
    const told = await call(endpoint, place, role, thing);
    expectTold(`${role}, ${owner ?? 'nobody'}’s`, told, isScoped ? missing : expected(place.ok, role));
    if (!isScoped) continue;
    expect([role, owner, await stage.changesSince(before)]).toEqual([role, owner, []]);
    // Word for word: what is another's cannot be told from what is not there.
    if (answers.has('missing')) expect(without(told.text, thing)).toBe(answers.get('missing'));
  }
}

/** Refused before anything is read, and so alike for everything. */
async function expectRefused(endpoint: AnyEndpoint, place: Place, callers: [Caller, Expected][]): Promise<void> {
  const own = await make(place, 'ann');
  const things = [
    own,
    ...(place.at.length === 0 ? [] : [replaced(place, own, () => randomUUID()), replaced(place, own, () => NO_ID)]),
    ...(place.isOwned === false ? [] : [await make(place, 'ben')]),
  ];
  const before = await stage.now();
  for (const [caller, wanted] of callers) {
    const answers = await Promise.all(things.map((thing) => call(endpoint, place, caller, thing)));
    for (const told of answers) expectTold(caller, told, wanted);
    expect(new Set(answers.map(({ text }) => without(text, {}))).size).toBe(1);
    if (wanted[0] === 401)
      expect(answers.map(({ headers }) => headers['www-authenticate'])).toEqual(answers.map(() => 'Bearer'));
  }
  expect(await stage.changesSince(before)).toEqual([]);
}

function expectTold(who: string, told: Told, [status, says]: Expected): void {
  const shown = told.text.includes(says) ? says : told.text.slice(0, 500);
  expect([who, told.status, shown]).toEqual([who, status, says]);
}

function expected(ok: Place['ok'], role: Role): Expected {
  return typeof ok === 'function' ? ok(role) : ok;
}

const make = (place: Place, owner: Owner): Promise<Thing> => place.make?.(stage, owner) ?? Promise.resolve({});

async function call(
  endpoint: AnyEndpoint,
  place: Place,
  caller: Caller,
  thing: Thing,
  requestId: string = randomUUID(),
): Promise<Told> {
  const { query, headers, ...sent } = place.send?.(thing) ?? {};
  const path = endpoint.path.replace(/:(\w+)/g, (_all, name: string) => encodeURIComponent(thing[name] ?? ''));
  const answer = await stage
    .api(caller)
    .call(endpoint.method, `${path}${query === undefined ? '' : `?${new URLSearchParams(query).toString()}`}`, {
      ...sent,
      headers: { ...headers, 'x-request-id': requestId },
    });
  const text = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body ?? '');
  return { status: answer.status, text: text === '""' ? '' : text, headers: answer.headers };
}

/** The thing under other ids, those that the place names. */
function replaced(place: Place, thing: Thing, other: () => string): Thing {
  const names = place.at.map((field) => field.split(/[ .]/).at(-1) ?? '').map((name) => (name in thing ? name : 'id'));
  return { ...thing, ...Object.fromEntries(names.map((name) => [name, other()])) };
}

/** What an answer says, without the ids that were asked for and the request's own. */
function without(text: string, thing: Thing): string {
  const bare = text.replace(/"(requestId|until)":"[^"]*"/g, '');
  return Object.values(thing).reduce((rest, value) => (value === '' ? rest : rest.replaceAll(value, '…')), bare);
}

function describePlace({ at }: Place, index: number): string {
  return at.length === 0 ? `without an id (${index + 1})` : `${at.join(', ')} (${index + 1})`;
}

/** What a new route has to bring before it may be mounted, in words. */
function whatIsMissing(name: string, endpoint: AnyEndpoint): string | null {
  const row: Row | undefined = ROWS[name];
  const fields = namingFields(endpoint);
  if (row === undefined) {
    return `${name} has no row in test/auth/matrix/. Add one to the file of its area: '${name}': { places: [{ at: ${JSON.stringify(fields)}, make: (stage, owner) => …, ok: [200, '…'], missing: [404, '"not_found"'] }] }. matrix/row.ts tells what stands in it; a thing that belongs to no user has isOwned: false.`;
  }
  const known = [...row.places.flatMap((place) => place.at), ...Object.keys(row.harmless ?? {})];
  const open = fields.filter((field) => !known.includes(field));
  if (open.length > 0)
    return `${name} takes ${open.join(', ')}, of which its row in test/auth/matrix/ says nothing. Add a place whose \`at\` names the field, or say under \`harmless\` why it names nobody's thing.`;
  const gone = known.filter((field) => !fields.includes(field));
  if (gone.length > 0) return `the row of ${name} names ${gone.join(', ')}, which the route does not take.`;
  if (endpoint.method !== 'get' && endpoint.audit === undefined)
    return `${name} changes something, and its endpoint() does not say what the audit tells of it: add audit: ['thing.done'], or audit: { none: 'why not' }.`;
  return null;
}
