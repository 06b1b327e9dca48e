import { z } from 'zod';
import { timestamp } from './primitives';

/** What the installation is made of. */
export const systemReport = z.object({
  coordinators: z
    .array(
      z.object({
        version: z.string().nullable().describe('Version of the coordinator; null: it does not say.'),
        host: z.string().nullable().describe('Name of its host, the first 40 characters; null: it does not say.'),
        address: z
          .string()
          .nullable()
          .describe('IP address that it connects to the database from; null: a socket of the same machine.'),
        connectedAt: timestamp.describe('Since when it listens to the database.'),
      }),
    )
    .describe('The coordinators that are connected to the database, the longest first.'),
  migrations: z
    .array(
      z.object({
        name: z.string().describe('Name of the migration.'),
        appliedAt: timestamp.describe('When it was applied.'),
      }),
    )
    .describe('The migrations that were applied to the database, in their order.'),
  settings: z
    .array(
      z.object({
        name: z.string().describe('Name of the environment variable.'),
        value: z.string().nullable().describe('The value in force; null: none, or a secret.'),
        isSet: z.boolean().describe('Whether it was set; false: the value is the default.'),
        isSecret: z.boolean().describe('Whether the value is never shown.'),
      }),
    )
    .describe('The settings of the coordinator that answers.'),
});
export type SystemReport = z.infer<typeof systemReport>;
