import type { Schedule } from '@baton/runner-sdk/protocol';
import { post } from '../../api/call';
import type { Job } from '../../api/reads';
import { useConfirm } from '../../parts/confirm';
import { visible } from '../../parts/format';
import { tell } from '../../parts/notify';
import { useAction } from '../../parts/use-action';

const CHANGES = [['schedules'], ['schedule'], ['pages'], ['list'], ['head'], ['stats']];

export function useScheduleActions() {
  const confirm = useConfirm();
  const resume = useAction((id: string) => post<Schedule>(['schedules', id, 'resume']), CHANGES);
  const stop = useAction(
    ({ id, reason }: { id: string; reason: string }) =>
      post<Schedule>(['schedules', id, 'pause'], reason === '' ? {} : { reason }),
    CHANGES,
  );
  const create = useAction((id: string) => post<Job>(['schedules', id, 'run']), CHANGES);
  const run = {
    isRunning: create.isRunning,
    run: async (id: string): Promise<void> => {
      const job = await create.run(id);
      if (job !== undefined) tell(`The job ${job.id.slice(-12)} is created.`);
    },
  };
  const pause = async ({ id, name }: Schedule): Promise<void> => {
    const reason = await confirm({
      title: `Pause ${visible(name)}?`,
      text: 'It does not tick until somebody resumes it; ticks of the pause are not made up for.',
      action: 'Pause',
      asks: 'Reason (shown with the schedule)',
    });
    if (reason !== null) await stop.run({ id, reason });
  };
  return { resume, pause, run };
}
