import { definitionOf } from '../client/creation';
import type { JobDefinition } from '../client/define-job';
import { check, type OutputOf, type Schema } from '../client/schema';
import type { ClaimedJob, Dependency } from '../protocol';
import { NonRetryableError } from '../transport/errors';
import { Objects } from '../transport/objects';
import type { Send } from '../transport/transport';

/** Reads the result of a job that this one waited for; `undefined`: it did not complete. */
export interface ResultOf {
  <Result extends Schema>(parent: JobDefinition<Schema, Result>, key?: string): Promise<OutputOf<Result> | undefined>;
  (key: string): Promise<unknown>;
}

/** Reads results that came with the claim; those too large for that are read by requests of their own, once each. */
export function resultsOf(job: Pick<ClaimedJob, 'id' | 'dependencies'>, port: { send: Send }): ResultOf {
  const read = new Map<string, Promise<unknown>>();
  const fetched = (key: string, { result, resultUrl }: Dependency): Promise<unknown> => {
    const known = read.get(key);
    if (known !== undefined) return known;
    const whole =
      resultUrl === undefined
        ? Promise.resolve(result)
        : port.send<Dependency>({ method: 'GET', path: resultUrl }).then((dependency) => dependency.result);
    const answer = whole.then((value) => new Objects((request) => port.send(request)).read(value));
    read.set(key, answer);
    // A failed read is repeated by the next call.
    answer.catch(() => read.delete(key));
    return answer;
  };
  return async (target: JobDefinition | string, given?: string) => {
    const definition = definitionOf(target);
    const key = given ?? definition.type;
    const dependency = Object.hasOwn(job.dependencies, key) ? job.dependencies[key] : undefined;
    if (dependency === undefined)
      throw new NonRetryableError(
        `this job did not wait for ${key}; it waited for ${Object.keys(job.dependencies).join(', ') || 'none'}`,
        { code: 'unknown_dependency' },
      );
    if (dependency.status !== 'completed') return undefined;
    const result = await fetched(key, dependency);
    if (definition.result === undefined) return result;
    const checked = await check(definition.result, result);
    if (checked.isValid) return checked.value;
    const faults = checked.errors.map(({ path, message }) => `${path}: ${message}`).join('; ');
    throw new NonRetryableError(`the result of ${key} does not fit ${definition.type}: ${faults}`, {
      code: 'invalid_result',
    });
  };
}
