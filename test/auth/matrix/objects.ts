import { plain, type Rows } from './row';

const content = { sha256: 'a'.repeat(64), bytes: 300_000 };

export const OBJECT_ROWS: Rows = {
  'POST /objects': { places: [plain([201, '"$object"'], () => ({ json: content }))] },
  'GET /objects/:id': {
    places: [
      {
        at: ['path id'],
        // Seen by whoever sees a job that names it.
        async make(stage, owner) {
          const { id: jobId = '' } = await stage.job(owner, 'pending');
          return { id: await stage.objectOf(jobId) };
        },
        ok: [200, 'X-Amz-Signature'],
      },
    ],
  },
};
