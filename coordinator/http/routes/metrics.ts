import { z } from 'zod';
import { endpoint, OPERATORS, replyText } from '../core/endpoint';

export const metricsEndpoints = [
  endpoint({
    method: 'get',
    path: '/metrics',
    summary: 'Read the metrics of this coordinator in the Prometheus text format; scrape with a key of role viewer',
    roles: OPERATORS,
    replies: { 200: z.string() },
    produces: 'text/plain',
    async run({ services }) {
      return replyText(200, await services.metrics.text());
    },
  }),
];
