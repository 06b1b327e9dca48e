import { monotonicMs } from '../transport/clock';
import { messageOf } from '../transport/failure';
import type { Transport } from '../transport/transport';
import { jsonSchemaOf } from '../client/json-schema';
import type { PublishedTypes, TypeSchemas } from '../protocol';
import type { Work } from './handler';
import type { Logger } from './logger';

export interface TypePublisherOptions {
  transport: Transport;
  logger: Logger;
  runnerId: string;
  work: ReadonlyMap<string, Work>;
  /** Aborted when the runner stops. */
  signal: AbortSignal;
  /** Claims carry what the coordinator calls the published schemas. */
  onPublished: (typeSet: string) => void;
}

/** A coordinator that keeps asking is not answered more often. */
const AGAIN_MS = 30_000;
const TIMEOUT_MS = 10_000;

/**
 * Publishes the JSON Schemas of the runner's types: once, and again when the coordinator does not know them any more.
 * A coordinator that does not take them changes nothing for the runner.
 */
export class TypePublisher {
  private lastMs = -Infinity;
  private isPublishing = false;
  /** Types were added while the others were published. */
  private isStale = false;

  constructor(private readonly options: TypePublisherOptions) {}

  /** @param isAsked the coordinator asked for it; otherwise there are new types */
  publish(isAsked: boolean): void {
    if (this.isPublishing) this.isStale ||= !isAsked;
    if (this.isPublishing || (isAsked && monotonicMs() - this.lastMs < AGAIN_MS)) return;
    const types = this.schemas();
    if (Object.keys(types).length === 0) return;
    this.isPublishing = true;
    this.lastMs = monotonicMs();
    void this.send(types).finally(() => this.afterwards());
  }

  private afterwards(): void {
    this.isPublishing = false;
    if (!this.isStale || this.options.signal.aborted) return;
    this.isStale = false;
    this.publish(false);
  }

  private async send(types: Record<string, TypeSchemas>): Promise<void> {
    const { transport, logger, runnerId, signal, onPublished } = this.options;
    try {
      const { body } = await transport.call<Partial<PublishedTypes>>({
        ...{ method: 'PUT', path: `/runners/${encodeURIComponent(runnerId)}/types`, body: { types } },
        ...{ timeoutMs: TIMEOUT_MS, budgetMs: Infinity, signal },
      });
      if (typeof body.typeSet === 'string') onPublished(body.typeSet);
      for (const { type, detail } of body.refused ?? [])
        logger.warn('the coordinator does not take the schemas of a type; its jobs run all the same', { type, detail });
    } catch (error) {
      if (!signal.aborted) logger.debug('the schemas could not be published', { error: messageOf(error) });
    }
  }

  private schemas(): Record<string, TypeSchemas> {
    const published = new Map<string, TypeSchemas>();
    for (const [type, { definition }] of this.options.work) {
      const schemas = {
        ...named('arguments', definition.arguments && jsonSchemaOf(definition.arguments)),
        ...named('result', definition.result && jsonSchemaOf(definition.result)),
        ...definition.jsonSchemas,
      };
      if (Object.keys(schemas).length > 0) published.set(type, schemas);
    }
    return Object.fromEntries(published);
  }
}

function named(name: keyof TypeSchemas, schema: TypeSchemas['arguments']): TypeSchemas {
  return schema === undefined ? {} : { [name]: schema };
}
