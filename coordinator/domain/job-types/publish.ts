import { createHash } from 'node:crypto';
import {
  jobTypeName,
  type JsonSchema,
  payloadFault,
  type PublishedTypes,
  type TypeSchemas,
  typeSchemas,
} from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import * as store from '../../store/job-types/publish';
import type { Caller } from '../auth/caller';
import { Turns } from '../../turns';
import { compile, UnusableSchema } from './validator';

const MOST_SCHEMA_BYTES = 32 * 1024;
/** Old schemas are forgotten with the last runner that published them. */
const MOST_OF_TYPE = 50;
const MOST_IN_ALL = 10_000;

/** Stores the schemas of a runner's types. Each type is judged alone. */
export async function publishTypes(
  context: Context,
  caller: Caller,
  runnerId: string,
  types: Record<string, unknown>,
): Promise<PublishedTypes> {
  const refused: PublishedTypes['refused'] = [];
  const read: store.NewSchemas[] = [];
  const turns = new Turns();
  for (const [type, sent] of Object.entries(types)) {
    await turns.next();
    const schemas = readSchemas(caller, type, sent);
    if (typeof schemas === 'string') refused.push({ type: type.slice(0, 200), detail: schemas });
    else {
      const pair = { arguments: schemas.arguments ?? null, result: schemas.result ?? null };
      read.push({ type, hash: digest(pair), ...pair });
    }
  }
  const taken = await withinNumber(context, read, refused);
  const set = { types: Object.fromEntries(taken.map(({ type, hash }) => [type, hash])) };
  const id = digest(set.types);
  await store.publish(context.db, runnerId, { id, ...set }, taken);
  context.publishedTypes.publish(id, Object.keys(set.types));
  if (refused.length > 0)
    context.log.warn('schemas of a runner were not taken', { runnerId, refused: refused.slice(0, 10) });
  return { typeSet: id, refused };
}

/** Or why they are not taken, in words. */
function readSchemas(caller: Caller, type: string, sent: unknown): TypeSchemas | string {
  if (!jobTypeName.safeParse(type).success) return 'The name is not that of a job type.';
  if (caller.types !== null && !caller.types.includes(type)) return 'This key may not claim jobs of the type.';
  const read = typeSchemas.safeParse(sent);
  if (!read.success) return 'arguments and result must be JSON Schemas: objects, or true or false.';
  for (const name of ['arguments', 'result'] as const) {
    const schema = read.data[name];
    const fault = schema === undefined ? null : schemaFault(schema);
    if (fault !== null) return `The schema of ${name} is not taken: ${fault}.`;
  }
  return read.data;
}

function schemaFault(schema: JsonSchema): string | null {
  const fault = payloadFault(schema);
  if (fault !== null) return `${fault.path.join('.')} ${fault.message}`.trim();
  const bytes = Buffer.byteLength(JSON.stringify(schema));
  if (bytes > MOST_SCHEMA_BYTES) return `it takes ${bytes} bytes as JSON; ${MOST_SCHEMA_BYTES} are the most`;
  try {
    compile(schema);
    return null;
  } catch (error) {
    if (error instanceof UnusableSchema) return error.message;
    throw error;
  }
}

/** Those for which there is room; the others are added to `refused`. */
async function withinNumber(
  { db }: Context,
  schemas: readonly store.NewSchemas[],
  refused: PublishedTypes['refused'],
): Promise<store.NewSchemas[]> {
  const stored = await store.storedSchemas(
    db,
    schemas.map(({ type, hash }) => ({ type, hash })),
  );
  const counts = await store.countSchemas(
    db,
    schemas.map(({ type }) => type),
  );
  let { inAll } = counts;
  return schemas.filter(({ type, hash }) => {
    if (stored.some((one) => one.type === type && one.hash === hash)) return true;
    const ofType = counts.ofType.get(type) ?? 0;
    const fault =
      ofType >= MOST_OF_TYPE
        ? `The type has ${ofType} schemas already; old ones are forgotten a week after their last runner.`
        : inAll >= MOST_IN_ALL
          ? `There are ${inAll} schemas already, which are the most.`
          : null;
    if (fault === null) inAll += 1;
    else refused.push({ type, detail: fault });
    return fault === null;
  });
}

/** Equal for equal values, whatever the order of their members. */
function digest(value: unknown): string {
  return createHash('sha256').update(canonical(value)).digest('hex').slice(0, 32);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, one: unknown) =>
    typeof one === 'object' && one !== null && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)))
      : one,
  );
}
