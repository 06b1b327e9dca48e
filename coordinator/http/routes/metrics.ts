import { z } from 'zod';
import { endpoint, OPERATORS } from '../core/endpoint';

export const metricsEndpoints = [
  endpoint({
    method: 'get',
    path: '/metrics',
    summary: 'Read the metrics of this coordinator in the Prometheus text format; scrape with a key of role viewer',
    roles: OPERATORS,
    replies: { 200: z.string() },
    produces: 'text/plain',
    async run({ services }) {
      const text = await services.metrics.text();
      return {
        status: 200,
        body: null,
        headers: { 'Cache-Control': 'no-store' },
        send: (response) => void response.end(text),
      };
    },
  }),
];
