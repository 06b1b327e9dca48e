import { TextInput } from '@mantine/core';
import { useState } from 'react';

const UNITS: [suffix: RegExp, ms: number][] = [
  [/^(ms|milliseconds?)$/, 1],
  [/^(s|sec|seconds?)$/, 1000],
  [/^(m|min|minutes?)$/, 60_000],
  [/^(h|hours?)$/, 3_600_000],
  [/^(d|days?)$/, 86_400_000],
];

/** `90 s`, `1 h 30 min`, `250` (milliseconds). Null: it is not a duration. */
export function readDuration(text: string): number | null {
  const parts = [...text.trim().matchAll(/(\d+(?:\.\d+)?)\s*([a-z]*)\s*/gi)];
  if (parts.length === 0 || parts.map(([all]) => all).join('') !== text.trim()) return null;
  let sum = 0;
  for (const [, amount, unit = ''] of parts) {
    const ms = unit === '' ? 1 : UNITS.find(([name]) => name.test(unit.toLowerCase()))?.[1];
    if (ms === undefined) return null;
    sum += Number(amount) * ms;
  }
  return Math.round(sum);
}

export function writeDuration(ms: number): string {
  const parts = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1000],
    ['ms', 1],
  ] as const;
  let rest = ms;
  const text = parts.flatMap(([name, unit]) => {
    const whole = Math.floor(rest / unit);
    rest -= whole * unit;
    return whole === 0 ? [] : [`${whole} ${name}`];
  });
  return text.length === 0 ? '0 ms' : text.join(' ');
}

/** A duration as people write it. Null: left empty. */
export function DurationInput({
  label,
  description,
  value,
  onChange,
  error,
  placeholder,
  required = false,
}: {
  label: string;
  description?: string;
  value: number | null;
  onChange: (ms: number | null) => void;
  error?: string | undefined;
  placeholder?: string;
  required?: boolean;
}) {
  const [text, setText] = useState(value === null ? '' : writeDuration(value));
  const isWrong = text.trim() !== '' && readDuration(text) === null;
  return (
    <TextInput
      label={label}
      description={description}
      value={text}
      placeholder={placeholder ?? 'such as 30 s, 5 min, 2 h'}
      required={required}
      onChange={(event) => {
        setText(event.currentTarget.value);
        onChange(readDuration(event.currentTarget.value));
      }}
      error={isWrong ? 'a number and a unit: ms, s, min, h or d' : error}
    />
  );
}
