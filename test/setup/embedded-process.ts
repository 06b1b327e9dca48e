import { startEmbedded } from '../../coordinator/store/embedded';

/** A stand-in for a coordinator: holds the database of the data directory in argv until SIGTERM, and ignores Ctrl-C. */
async function main(): Promise<void> {
  process.on('SIGINT', () => undefined);
  const [dataDir = '', systemDir = ''] = process.argv.slice(2);
  const log = { info: () => undefined, warn: () => undefined };
  const { url, adopted, stop } = await startEmbedded({ dataDir, log, systemDir });
  process.on('SIGTERM', () => void stop().then(() => process.exit(0)));
  process.stdout.write(`${JSON.stringify({ url, adopted })}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
