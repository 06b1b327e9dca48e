import { defineJob } from '@baton/runner-sdk';
import { z } from 'zod';

/** Transcribes a recording in the storage with whisper.cpp; see `configurations/transcript.json`. */
export const transcript = defineJob({
  type: 'transcript',
  arguments: z.strictObject({
    /** A 16 kHz WAV file. */
    source: z.string(),
    /** Where the text is written. */
    target: z.string(),
    language: z
      .string()
      .regex(/^[a-z]{2,3}$|^auto$/)
      .default('auto'),
  }),
  result: z.object({ words: z.int() }),
  queue: 'transcripts',
  timeoutMs: 3_600_000,
});

/** Generates a text with a local model through Ollama; see `configurations/local-content.json`. */
export const localContent = defineJob({
  type: 'local-content',
  arguments: z.strictObject({ model: z.string().regex(/^[\w.:/-]+$/), prompt: z.string().min(1) }),
  result: z.object({ text: z.string() }),
  queue: 'content',
  timeoutMs: 900_000,
});
