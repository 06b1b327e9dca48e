import { setTimeout as pause } from 'node:timers/promises';
import { ProcessMeter } from '../../runner-sdk/process-meter';

test('an attempt that ends between two samples tells of the memory it held, and of its time', async () => {
  const meter = new ProcessMeter();
  const before = process.memoryUsage.rss();
  const end = meter.measure();
  const held = Buffer.alloc(150_000_000, 1);
  // The meter reads the memory at most every 10 ms; this is what the attempt takes, not a wait for something.
  await pause(30);
  const { durationMs, cpuMs, memoryPeakBytes } = end();
  expect(memoryPeakBytes).toBeGreaterThan(before + 100_000_000);
  expect(held.length).toBe(150_000_000);
  expect(durationMs).toBeGreaterThanOrEqual(29);
  expect(cpuMs).toBeGreaterThan(0);
});
