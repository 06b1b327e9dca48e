import { type Expected, type Place, plain, type Rows } from './row';
import type { Role } from '@baton/runner-sdk/protocol';

function ofWebhook(ok: Expected, send: Place['send'] = () => ({})): Place {
  return { at: ['path id'], make: (stage, owner) => stage.webhook(owner), send, ok };
}

function ofCallback(ok: Expected): Place {
  return {
    at: ['path id'],
    async make(stage, owner) {
      const job = await stage.job(owner, 'completed');
      await stage.delivery({ jobId: job['id'] ?? '' });
      return job;
    },
    ok,
  };
}

const onlyOwn = (role: Role): Expected => (role === 'user' ? [403, '"forbidden"'] : [201, '"secret":"whsec_']);

export const WEBHOOK_ROWS: Rows = {
  'POST /webhooks': {
    places: [
      {
        at: ['body filter.userId'],
        others: ['ben'],
        make: (_stage, owner) => Promise.resolve({ userId: owner ?? 'nobody' }),
        send: ({ userId }) => ({
          json: { url: 'https://hooks.example.com/', events: ['job.completed'], filter: { userId } },
        }),
        ok: [201, '"secret":"whsec_'],
        missing: onlyOwn,
      },
    ],
  },
  'GET /webhooks': {
    places: [{ at: [], isOwned: false, make: (stage) => stage.webhook('ann'), ok: [200, '"items":[{'] }],
  },
  'GET /webhooks/:id': { places: [ofWebhook([200, '"enabled":true'])] },
  'PATCH /webhooks/:id': {
    places: [ofWebhook([200, '"enabled":false'], () => ({ json: { enabled: false } }))],
    harmless: { 'body filter.userId': 'the webhook of a user hears of this user alone, whatever its filter names' },
  },
  'DELETE /webhooks/:id': { places: [ofWebhook([204, ''])] },
  'POST /webhooks/:id/rotate': { places: [ofWebhook([200, '"secret":"whsec_'], () => ({ json: { graceMs: 0 } }))] },
  'POST /webhooks/:id/test': { places: [ofWebhook([202, '"webhook.test"'])] },
  'GET /webhooks/:id/deliveries': { places: [ofWebhook([200, '"items":[]'])] },
  'POST /webhooks/:id/deliveries/:deliveryId/resend': {
    places: [
      {
        at: ['path id', 'path deliveryId'],
        async make(stage, owner) {
          const webhook = await stage.webhook(owner);
          return { ...webhook, deliveryId: await stage.delivery({ webhookId: webhook['id'] ?? '' }) };
        },
        ok: [202, '"pending"'],
      },
    ],
  },
  'GET /callback-secret': { places: [plain([200, '"secret":"whsec_'])] },
  'POST /callback-secret/rotate': { places: [plain([200, '"secret":"whsec_'], () => ({ json: {} }))] },
  'GET /jobs/:id/callbacks': { places: [ofCallback([200, '"items":[{'])] },
  'POST /jobs/:id/callbacks/resend': { places: [ofCallback([202, '"pending"'])] },
};
