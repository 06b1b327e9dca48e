import type { EventRow } from '../../store/events';

/** One event for listeners. It is serialised once for each format, because it serves many. */
export class EventFrame {
  private text: string | undefined;
  private json: string | undefined;

  /** @param data JSON text */
  constructor(
    private readonly id: string,
    private readonly event: string,
    private readonly data: string,
  ) {}

  /** As a server-sent event. */
  get serverSent(): string {
    return (this.text ??= `id: ${this.id}\nevent: ${this.event}\ndata: ${this.data}\n\n`);
  }

  /** As a WebSocket message: the same fields as JSON. */
  get message(): string {
    return (this.json ??= `{"id":"${this.id}","event":"${this.event}","data":${this.data}}`);
  }
}

const frames = new WeakMap<EventRow, EventFrame>();

export function frameOf(event: EventRow): EventFrame {
  let frame = frames.get(event);
  if (frame === undefined) {
    const id = String(event.position);
    const data = JSON.stringify({ id, ...publicEvent(event), at: event.at.toISOString() });
    frame = new EventFrame(id, event.name, data);
    frames.set(event, frame);
  }
  return frame;
}

function publicEvent({ name, jobId, type, queue, userId, status, attempt, runnerId, details }: EventRow) {
  if (jobId === null) return { name, userId, details };
  return { name, jobId, type, queue, userId, status, attempt, runnerId, details };
}
