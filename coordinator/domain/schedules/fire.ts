import type { Context } from '../../context';
import type { BatonError } from '../../errors';
import type { Executor } from '../../store/db';
import * as ticks from '../../store/schedules/ticks';
import * as store from '../../store/schedules/rows';
import { approximateBytes, Turns } from '../../turns';
import type { TickFact } from '../events/events';
import type { CreateItem } from '../jobs/create';
import { type CreateIn, createWithin } from '../jobs/create-within';
import type { Created } from '../jobs/candidates/job-candidate';
import { decide, type Decided, type Decision } from './decide';
import { logNotices, type Notice, refusedNotice, writeNotices } from './notices';
import { resultOf, type TickResult } from './result';
import { callerOf, jobOf } from './scheduled-job';
import { cancelSuperseded } from './supersede';
import { dueOf, jitterOf, nextTick } from './timing';

const BATCH: store.BatchSize = { rows: 500, bytes: 8 * 1024 * 1024 };
/**
 * Most ticks that a schedule fires at once while it catches up, fewer if its job is large; then others get their turn.
 */
const MOST_TICKS_AT_ONCE = 100;
/** After this many ticks the rest of the batch is left to the next round. */
const MOST_TICKS = 1000;

/**
 * Fires due ticks, each once: the transaction that creates the job also locks the schedule, moves it on and adds the
 * history entry. Every coordinator runs it; row locks keep the coordinators apart.
 * @returns whether there may be more
 */
export async function fire(context: Context): Promise<boolean> {
  const hasMoreBuffered = await fireBatch(context, takeBuffered);
  const hasMoreDue = await fireBatch(context, takeDue);
  const hasMoreToCancel = await cancelSuperseded(context);
  return hasMoreBuffered || hasMoreDue || hasMoreToCancel;
}

/** What a schedule creates for a tick. */
export function itemOf(schedule: store.LockedSchedule, tickAt: Date): CreateItem {
  return { caller: callerOf(schedule), job: jobOf(schedule, tickAt, schedule.now), scheduleId: schedule.id };
}

/** A locked schedule, what its ticks do, and its next tick. */
interface Firing {
  schedule: store.LockedSchedule;
  decisions: Decision[];
  /** Milliseconds since 1970; null: there is none. */
  next: number | null;
  /** Whether it is a buffered tick, which waited for the end of an earlier job. */
  isBuffered: boolean;
}

interface Batch {
  firings: Firing[];
  hasMore: boolean;
}

async function fireBatch(context: Context, take: (transaction: Executor) => Promise<Batch>): Promise<boolean> {
  const { notices, facts, hasMore } = await createWithin(context, async (transaction, create) => {
    const batch = await take(transaction);
    const results = await createJobs(batch.firings, create);
    const recorded = await record(transaction, batch.firings, results);
    return { ...recorded, hasMore: batch.hasMore || recorded.areDue };
  });
  context.events.tellTicks(facts);
  logNotices(context, notices);
  return hasMore;
}

async function takeDue(transaction: Executor): Promise<Batch> {
  const { schedules, hasMore } = await store.lockDue(transaction, BATCH);
  const busy = await store.busy(
    transaction,
    schedules.filter(({ overlap }) => overlap !== 'allow').map(({ id }) => id),
  );
  const decided = await decideAll(schedules, busy);
  const known = await knownOf(transaction, decided);
  const firings = decided.map(({ schedule, decisions, next }) => ({
    schedule,
    decisions: decisions.filter(({ at }) => !known.has(nameOf(schedule.id, at))),
    next,
    isBuffered: false,
  }));
  return { firings, hasMore: hasMore || decided.length < schedules.length };
}

type DecidedSchedule = Decided & { schedule: store.LockedSchedule };

/** Decides for as many schedules as one transaction can handle. */
async function decideAll(schedules: store.LockedSchedule[], busy: Set<string>): Promise<DecidedSchedule[]> {
  const decided: DecidedSchedule[] = [];
  const turns = new Turns();
  let [ticksSoFar, bytesSoFar] = [0, 0];
  for (const schedule of schedules) {
    if (ticksSoFar >= MOST_TICKS || bytesSoFar >= BATCH.bytes) break;
    const bytes = approximateBytes(schedule.job);
    const most = Math.max(1, Math.min(MOST_TICKS_AT_ONCE, Math.floor(BATCH.bytes / bytes)));
    const { decisions, next } = decide(schedule, busy.has(schedule.id), most);
    decided.push({ schedule, decisions, next });
    ticksSoFar += decisions.length;
    if (turns.isOver) await turns.next();
    bytesSoFar += bytes * decisions.filter(({ does }) => does === 'create').length;
  }
  return decided;
}

/** Ticks that already have an entry, because they were backfilled before they fired. */
async function knownOf(transaction: Executor, decided: DecidedSchedule[]): Promise<Set<string>> {
  const asked = decided.flatMap(({ schedule, decisions }) =>
    decisions.map(({ at }) => ({ scheduleId: schedule.id, at: new Date(at) })),
  );
  const found = asked.length === 0 ? [] : await ticks.known(transaction, asked);
  return new Set(found.map(({ scheduleId, at }) => nameOf(scheduleId, at.getTime())));
}

function nameOf(scheduleId: string, at: number): string {
  return `${scheduleId} ${at}`;
}

/** Takes buffered ticks whose jobs waited for the end of an earlier one. */
async function takeBuffered(transaction: Executor): Promise<Batch> {
  const { schedules, hasMore } = await store.lockBuffered(transaction, BATCH);
  const busy = await store.busy(
    transaction,
    schedules.map(({ id }) => id),
  );
  const firings = schedules.flatMap((schedule): Firing[] => {
    const { id, bufferedAt, nextAt, now } = schedule;
    if (bufferedAt === null || busy.has(id)) return [];
    const decision: Decision = { at: bufferedAt.getTime(), does: 'create', reason: null, message: null };
    // A schedule that had ended because of its last run continues if that run comes to nothing.
    const next = nextAt?.getTime() ?? nextTick(schedule, now.getTime());
    return [{ schedule, decisions: [decision], next, isBuffered: true }];
  });
  return { firings, hasMore };
}

async function createJobs(firings: Firing[], create: CreateIn): Promise<Map<Decision, Created | BatonError>> {
  const creating = firings.flatMap(({ schedule, decisions }) =>
    schedule.keyFault === null
      ? decisions.filter(({ does }) => does === 'create').map((decision) => ({ schedule, decision }))
      : [],
  );
  const items = creating.map(({ schedule, decision }) => itemOf(schedule, new Date(decision.at)));
  const outcomes = items.length === 0 ? [] : await create(items);
  const results = new Map<Decision, Created | BatonError>();
  creating.forEach(({ decision }, index) => {
    const outcome = outcomes[index];
    if (outcome !== undefined) results.set(decision, outcome);
  });
  return results;
}

interface Recorded {
  notices: Notice[];
  facts: TickFact[];
  /** Whether any of the schedules is due again. */
  areDue: boolean;
}

async function record(
  transaction: Executor,
  firings: Firing[],
  outcomes: Map<Decision, Created | BatonError>,
): Promise<Recorded> {
  const fresh: ticks.NewTick[] = [];
  const waited: ticks.NewTick[] = [];
  const moves: store.Fired[] = [];
  const recorded: Recorded = { notices: [], facts: [], areDue: false };
  for (const firing of firings) {
    const { schedule, isBuffered } = firing;
    const entries = firing.decisions.map((decision, index): ticks.NewTick => {
      const result = resultOf(schedule, decision, outcomes.get(decision));
      const nth = schedule.ticks + index + 1;
      return { scheduleId: schedule.id, nth, at: new Date(decision.at), trigger: 'time', ...result };
    });
    (isBuffered ? waited : fresh).push(...entries);
    const move = moved(firing, entries);
    moves.push(move);
    recorded.areDue ||= move.dueAt !== null && move.dueAt <= schedule.now;
    for (const entry of entries) {
      if (entry.outcome === 'refused') recorded.notices.push(refusedNotice(schedule, entry));
      recorded.facts.push({ outcome: entry.outcome, lateMs: isBuffered ? null : lateMs(schedule, entry.at) });
    }
  }
  await ticks.insert(transaction, fresh);
  await ticks.settleBuffered(transaction, waited);
  await store.moveOn(transaction, moves);
  await writeNotices(transaction, recorded.notices);
  return recorded;
}

/** The state of a schedule after its ticks. */
function moved({ schedule, isBuffered, next }: Firing, entries: (TickResult & { at: Date })[]): store.Fired {
  const { id, jitterMs, maxRuns, runs, overlap, pausedAt } = schedule;
  const created = entries.filter(({ outcome }) => outcome === 'created');
  const buffered =
    entries.find(({ outcome }) => outcome === 'buffered')?.at ?? (isBuffered ? null : schedule.bufferedAt);
  const left = maxRuns === null ? Infinity : maxRuns - runs - created.length - (buffered === null ? 0 : 1);
  return {
    id,
    ...dueOf(id, jitterMs, left > 0 && pausedAt === null ? next : null),
    lastTickAt: isBuffered ? null : (entries.at(-1)?.at ?? null),
    bufferedAt: buffered,
    supersededBy: overlap === 'cancel_previous' ? (created.at(-1)?.jobId ?? null) : null,
    runs: created.length,
    ticks: isBuffered ? 0 : entries.length,
  };
}

function lateMs({ id, jitterMs, now }: store.LockedSchedule, at: Date): number {
  return Math.max(0, now.getTime() - at.getTime() - jitterOf(id, jitterMs));
}
