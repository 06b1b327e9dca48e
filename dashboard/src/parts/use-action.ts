import { type QueryKey, useMutation, useQueryClient } from '@tanstack/react-query';
import { tellFailure } from './notify';

/**
 * Something that is done by a click: reads again what it changed, and tells when it failed.
 * @param changes keys of the queries that show what it changes
 */
export function useAction<Input, Output>(
  act: (input: Input) => Promise<Output>,
  changes: readonly QueryKey[],
): { run: (input: Input) => Promise<Output | undefined>; isRunning: boolean } {
  const client = useQueryClient();
  const mutation = useMutation({ mutationFn: act });
  return {
    isRunning: mutation.isPending,
    run: async (input) => {
      try {
        const output = await mutation.mutateAsync(input);
        await Promise.all(changes.map((queryKey) => client.invalidateQueries({ queryKey })));
        return output;
      } catch (error) {
        tellFailure(error);
        return undefined;
      }
    },
  };
}
