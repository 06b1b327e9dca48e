import { setTimeout as pause } from 'node:timers/promises';
import { ProcessMeter } from '../../runner-sdk/runner/process-meter';

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

test('one meter tells all runners of a process of its samples, and reads the processor time for all of them', () => {
  jest.useFakeTimers();
  const meter = new ProcessMeter();
  const told: string[] = [];
  const [one, other] = [() => told.push('one'), () => told.push('other')];
  const reading = jest.spyOn(process, 'cpuUsage');
  try {
    meter.start(one);
    meter.start(other);
    jest.advanceTimersByTime(1000);
    meter.stop(one);
    jest.advanceTimersByTime(1000);
    meter.stop(other);
    jest.advanceTimersByTime(1000);
    for (let attempt = 0; attempt < 5; attempt += 1) meter.measure()();
    expect(told).toEqual(['one', 'other', 'other']);
    expect(reading).toHaveBeenCalledTimes(1);
    expect(jest.getTimerCount()).toBe(0);
  } finally {
    reading.mockRestore();
    jest.useRealTimers();
  }
});
