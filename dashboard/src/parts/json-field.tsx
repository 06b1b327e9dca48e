import { Button, Group, Textarea } from '@mantine/core';

type Read = { isValid: true; value: unknown } | { isValid: false; fault: string };

/** Empty text is an empty object, which is what a job without arguments has. */
export function readJson(text: string): Read {
  if (text.trim() === '') return { isValid: true, value: {} };
  try {
    return { isValid: true, value: JSON.parse(text) as unknown };
  } catch (error) {
    return { isValid: false, fault: where(text, error instanceof Error ? error.message : String(error)) };
  }
}

/** Browsers tell the place of the fault as a position, which nobody counts. */
function where(text: string, message: string): string {
  const [, position] = /position (\d+)/.exec(message) ?? [];
  if (position === undefined || /line \d+/.test(message)) return message;
  const before = text.slice(0, Number(position)).split('\n');
  return `${message} (line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1})`;
}

/** JSON that is checked as it is typed. */
export function JsonField({
  label,
  description,
  value,
  onChange,
  error,
  minRows = 8,
}: {
  label: string;
  description?: string;
  value: string;
  onChange: (value: string) => void;
  /** What the coordinator said of it. */
  error?: string | undefined;
  minRows?: number;
}) {
  const read = readJson(value);
  return (
    <div>
      <Textarea
        label={label}
        description={description}
        value={value}
        onChange={(event) => onChange(event.currentTarget.value)}
        error={read.isValid ? error : read.fault}
        autosize
        minRows={minRows}
        maxRows={24}
        spellCheck={false}
        styles={{ input: { fontFamily: 'var(--mono)', fontSize: 13 } }}
      />
      <Group gap={6} mt={4}>
        <Button
          size="compact-xs"
          variant="subtle"
          disabled={!read.isValid}
          onClick={() => {
            if (read.isValid) onChange(JSON.stringify(read.value, null, 2));
          }}
        >
          Format
        </Button>
      </Group>
    </div>
  );
}
