import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobContext } from '@baton/runner-sdk';
import { fetchMedia, ffmpeg, input, probe, type Tools } from './ffmpeg';
import { Graph, type Input } from './graph';
import type { Composition, CompositionResult } from './jobs';

export function renderComposition(args: Composition, tools: Tools, job: JobContext): Promise<CompositionResult> {
  return tools.work.with(async (folder) => {
    tools.storage.requireWritable(args.to);
    const { inputs, inputArgs } = await fetchAll(args, folder, tools, job);
    const texts = await writeTexts(args, folder);
    const graph = new Graph(args, inputs, texts);
    const script = join(folder, 'graph');
    await writeFile(script, graph.text());
    const file = join(folder, 'output.mp4');
    const sound = graph.hasSound ? ['-map', '[sound]', '-c:a', 'aac', '-b:a', '192k'] : [];
    const rendered = [
      ...[...inputArgs, '-filter_complex_script', script, '-map', '[picture]', ...sound, '-t', String(args.seconds)],
      ...['-c:v', 'libx264', '-preset', tools.speed, '-crf', '20', '-pix_fmt', 'yuv420p', '-r', String(args.fps)],
      ...['-map_metadata', '-1', '-movflags', '+faststart', file],
    ];
    await ffmpeg(rendered, { job, tools, seconds: args.seconds, from: 5, to: 98, label: 'rendering' });
    const written = await probe(file, job.signal);
    const bytes = await tools.storage.upload(args.to, file, { signal: job.signal, contentType: 'video/mp4' });
    return { to: args.to, bytes, ...written };
  });
}

/** Each file once, however often it is used. */
async function fetchAll(
  { layers, audio }: Composition,
  folder: string,
  tools: Tools,
  job: JobContext,
): Promise<{ inputs: Map<string, Input>; inputArgs: string[] }> {
  const urls = [
    ...layers.flatMap((layer) => (layer.kind === 'title' ? [] : [layer.from])),
    ...audio.map(({ from }) => from),
  ];
  const inputs = new Map<string, Input>();
  const inputArgs: string[] = [];
  for (const url of new Set(urls)) {
    const path = join(folder, `input-${inputs.size}`);
    const media = await fetchMedia(url, path, tools, job);
    inputs.set(url, { index: inputs.size, media });
    inputArgs.push(...input(path));
    job.progress((5 * inputs.size) / urls.length, 'fetching');
  }
  return { inputs, inputArgs };
}

/** As files, so that nothing of a text can be taken for a part of the graph. */
async function writeTexts({ layers }: Composition, folder: string): Promise<string[]> {
  return Promise.all(
    layers.map(async (layer, index) => {
      const path = join(folder, `text-${index}`);
      if (layer.kind === 'title') await writeFile(path, layer.text);
      return path;
    }),
  );
}
