import { createContext, Script } from 'node:vm';
import type { FieldError, JsonSchema } from '@baton/runner-sdk/protocol';
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020';

// Schemas come from runners, and may be hostile: a pattern that backtracks for ever, references that multiply. So
// schemas are compiled, and values are held against them, within a limit of time, which ends regular expressions too.
// Nothing is loaded: a reference that leads out of the schema cannot be compiled.

const DIALECT = 'https://json-schema.org/draft/2020-12/schema';
/** Generous, because a busy host lengthens what is harmless too. */
const COMPILE_MS = 1000;
/** For all values of a call; the event loop waits for it. */
const CHECK_MS = 500;
/** A schema that took too long accepts anything for so long. */
const ASIDE_MS = 600_000;
const MOST_ERRORS = 50;
const MOST_VALIDATORS = 1000;

export type Validator = ValidateFunction;

/** Why a schema cannot be used, in words. */
export class UnusableSchema extends Error {}

/**
 * Formats are annotations, as the specification says; patterns are checked.
 * @throws {UnusableSchema}
 */
export function compile(schema: JsonSchema): Validator {
  const { $schema, ...rest } = typeof schema === 'boolean' ? { $schema: undefined } : schema;
  if ($schema !== undefined && $schema !== DIALECT)
    throw new UnusableSchema(`its $schema must be ${DIALECT}, or be left out`);
  // The schema of schemas is compiled once, which takes longer than most schemas.
  void DRAFT.validateSchema({});
  const ajv = new Ajv2020({ ...OPTIONS, allErrors: true, inlineRefs: false, meta: false, validateSchema: false });
  let made: Validator | undefined;
  const fault = within(COMPILE_MS, () => {
    if (DRAFT.validateSchema(typeof schema === 'boolean' ? schema : rest) === true)
      made = ajv.compile(typeof schema === 'boolean' ? schema : rest);
    else throw new Error(DRAFT.errorsText(DRAFT.errors, { dataVar: 'schema' }));
  });
  if (made === undefined) throw new UnusableSchema(`it cannot be compiled: ${fault}`);
  return made;
}

const OPTIONS = { strict: false, validateFormats: false, logger: false } as const;
const DRAFT = new Ajv2020(OPTIONS);

/** One value and the schema that it is held against. */
export interface Check {
  hash: string;
  schema: JsonSchema;
  value: unknown;
}

interface Known {
  /** Null: it accepts anything. */
  validator: Validator | null;
  /** Until when that holds, on the monotonic clock. */
  until: number;
}

const known = new Map<string, Known>();

/**
 * Holds values against schemas.
 * @param onUnusable called for a schema that cannot be used, or took too long. It accepts anything in this process for
 * ten minutes, because runners check their jobs themselves.
 * @returns the errors of each value; null: it fits
 */
export function judge(
  checks: readonly Check[],
  onUnusable: (hash: string, why: string) => void,
): (FieldError[] | null)[] {
  const judged = checks.map((): FieldError[] | null => null);
  const ready = checks.map(({ hash, schema }) => validatorOf(hash, schema, onUnusable));
  const spent = new Map<string, number>();
  let at = 0;
  let startedAt = 0;
  const fault = within(CHECK_MS + checks.length, () => {
    for (; at < checks.length; at += 1) {
      const check = checks[at];
      const validator = ready[at];
      if (check === undefined || validator === undefined || validator === null) continue;
      startedAt = performance.now();
      if (!validator(check.value)) judged[at] = fieldErrors(validator.errors ?? []);
      spent.set(check.hash, (spent.get(check.hash) ?? 0) + performance.now() - startedAt);
    }
  });
  if (fault === null) return judged;
  const last = checks[at];
  if (last !== undefined) spent.set(last.hash, (spent.get(last.hash) ?? 0) + performance.now() - startedAt);
  const [[slowest] = ['']] = [...spent].sort(([, one], [, other]) => other - one);
  remember(slowest, null, ASIDE_MS);
  onUnusable(slowest, fault);
  // One schema fewer each time, so it ends.
  return judge(checks, onUnusable);
}

function validatorOf(
  hash: string,
  schema: JsonSchema,
  onUnusable: (hash: string, why: string) => void,
): Validator | null {
  const found = known.get(hash);
  if (found !== undefined && performance.now() < found.until) return found.validator;
  try {
    return remember(hash, compile(schema), Infinity);
  } catch (error) {
    if (!(error instanceof UnusableSchema)) throw error;
    onUnusable(hash, error.message);
    return remember(hash, null, ASIDE_MS);
  }
}

function remember(hash: string, validator: Validator | null, forMs: number): Validator | null {
  if (known.size >= MOST_VALIDATORS) known.clear();
  known.set(hash, { validator, until: performance.now() + forMs });
  return validator;
}

function fieldErrors(errors: readonly ErrorObject[]): FieldError[] {
  return errors.slice(0, MOST_ERRORS).map(({ instancePath, keyword, params, message = 'does not fit' }) => {
    const [parameter, said] = MEMBERS.get(keyword) ?? [null, worded(message, keyword, params)];
    const member = parameter === null ? null : String(new Map<string, unknown>(Object.entries(params)).get(parameter));
    const pointer = `/arguments${instancePath}${member === null ? '' : `/${escaped(member)}`}`;
    return { path: pathOf(pointer), pointer, message: said };
  });
}

function escaped(member: string): string {
  return member.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** Keywords whose fault is a member that is missing or too much: its name in ajv's parameters, and what to say. */
const MEMBERS = new Map<string, readonly [parameter: string, said: string]>([
  ['required', ['missingProperty', 'is missing']],
  ['dependentRequired', ['missingProperty', 'is missing']],
  ['additionalProperties', ['additionalProperty', 'is not known']],
  ['unevaluatedProperties', ['unevaluatedProperty', 'is not known']],
]);

function worded(message: string, keyword: string, params: Record<string, unknown>): string {
  if (keyword === 'enum')
    return `must be one of ${JSON.stringify(params['allowedValues']).slice(1, 301).replace(/\]$/, '')}`;
  if (keyword === 'const') return `must be ${JSON.stringify(params['allowedValue']).slice(0, 300)}`;
  return message.slice(0, 300);
}

function pathOf(pointer: string): string {
  return pointer
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .join('.');
}

const sandbox = createContext({ run: undefined }, { codeGeneration: { strings: false, wasm: false } });
const RUN = new Script('run()');

/** Runs it, for so long at most. @returns why it did not end; null: it did */
function within(timeoutMs: number, run: () => void): string | null {
  sandbox['run'] = run;
  try {
    RUN.runInContext(sandbox, { timeout: timeoutMs });
    return null;
  } catch (error) {
    const { code, message } = error as { code?: string; message?: string };
    // A recursion without an end overflows the stack.
    return code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
      ? `it took longer than ${timeoutMs} ms`
      : String(message ?? error).slice(0, 300);
  } finally {
    sandbox['run'] = undefined;
  }
}
