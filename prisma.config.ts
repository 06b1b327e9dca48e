import { defineConfig } from 'prisma/config';

/** As Baton reads it: without `?schema=` its tables are in the schema `baton`. */
function withSchema(address: string): string {
  const url = new URL(address);
  if (!url.searchParams.has('schema')) url.searchParams.set('schema', 'baton');
  return url.href;
}

const address = process.env['DATABASE_URL'];

export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  // Only for `prisma migrate`; generating the client asks no database.
  ...(address === undefined || address === '' ? {} : { datasource: { url: withSchema(address) } }),
});
