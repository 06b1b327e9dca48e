import { Combobox, InputBase, Pill, Select, useCombobox } from '@mantine/core';
import { useMemo, useState } from 'react';
import { useAnalytics, useRunners, useStats } from '../../api/reads';
import { visible } from '../../parts/format';
import { Icon } from '../../parts/icon';
import { STATUSES, StatusMark } from '../../parts/status';
import { exactTime } from '../../parts/format';
import {
  type Field,
  FIELD_NAMES,
  FIELDS,
  type JobsFilter,
  readArguments,
  TIMES,
  withoutValue,
  withTime,
  withValue,
} from './filter';
import classes from './jobs.module.css';

const MOST_SUGGESTED = 12;
const HOUR_MS = 3_600_000;
const AGES = [
  { value: String(HOUR_MS / 4), label: 'in 15 minutes' },
  { value: String(HOUR_MS), label: 'in an hour' },
  { value: String(24 * HOUR_MS), label: 'in a day' },
  { value: String(168 * HOUR_MS), label: 'in a week' },
];

interface Suggestion {
  field: Field | 'arguments';
  value: string;
}

/** What is looked for. It stands in the address of the page, so that it can be kept and sent to others. */
export function FilterBar({
  filter,
  onChange,
  tags,
}: {
  filter: JobsFilter;
  onChange: (filter: JobsFilter) => void;
  /** Seen in the jobs that are shown. */
  tags: readonly string[];
}) {
  const statuses = filter.values.status ?? [];
  return (
    <div className={classes.bar}>
      <div className={classes.statuses} role="group" aria-label="Status">
        {STATUSES.map((status) => {
          const isOn = statuses.includes(status);
          return (
            <button
              key={status}
              type="button"
              className={classes.chip}
              aria-pressed={isOn}
              onClick={() =>
                onChange(isOn ? withoutValue(filter, 'status', status) : withValue(filter, 'status', status))
              }
            >
              <StatusMark status={status} />
              {status}
            </button>
          );
        })}
      </div>
      <Search filter={filter} onChange={onChange} tags={tags} />
      <Select
        size="xs"
        w={150}
        clearable
        placeholder="created any time"
        aria-label="Created within"
        data={AGES}
        value={null}
        onChange={(age) => {
          if (age !== null)
            onChange(withTime(filter, 'createdAfter', new Date(Date.now() - Number(age)).toISOString()));
        }}
      />
    </div>
  );
}

function Search({
  filter,
  onChange,
  tags,
}: {
  filter: JobsFilter;
  onChange: (filter: JobsFilter) => void;
  tags: readonly string[];
}) {
  const combobox = useCombobox({ onDropdownClose: () => combobox.resetSelectedOption() });
  const [typed, setTyped] = useState('');
  const suggestions = useSuggestions(typed, tags, filter);

  const choose = (named: string): void => {
    const suggestion = suggestions.find((each) => nameOf(each) === named);
    if (suggestion === undefined) return;
    const { field, value } = suggestion;
    onChange(field === 'arguments' ? { ...filter, arguments: value } : withValue(filter, field, value));
    setTyped('');
    combobox.closeDropdown();
  };

  return (
    <Combobox store={combobox} onOptionSubmit={choose}>
      <Combobox.Target>
        <InputBase
          className={classes.search}
          size="xs"
          leftSection={<Icon name="filter" size={14} />}
          placeholder="type, queue, user, tag, runner, or name=value in the arguments"
          aria-label="Filter jobs"
          data-filter
          value={typed}
          onChange={(event) => {
            setTyped(event.currentTarget.value);
            combobox.openDropdown();
            combobox.updateSelectedOptionIndex();
            combobox.selectFirstOption();
          }}
          onFocus={() => combobox.openDropdown()}
          onBlur={() => combobox.closeDropdown()}
          onKeyDown={(event) => {
            if (event.key === 'Escape') event.currentTarget.blur();
          }}
        />
      </Combobox.Target>
      <Combobox.Dropdown>
        <Combobox.Options mah={320} style={{ overflowY: 'auto' }} aria-label="What jobs can be filtered by">
          {suggestions.map((suggestion) => (
            <Combobox.Option key={nameOf(suggestion)} value={nameOf(suggestion)}>
              <span className={classes.field}>
                {suggestion.field === 'arguments' ? 'arguments contain' : FIELD_NAMES[suggestion.field]}
              </span>{' '}
              <span className="mono">{visible(suggestion.value)}</span>
            </Combobox.Option>
          ))}
          {suggestions.length === 0 && <Combobox.Empty>Nothing has that name</Combobox.Empty>}
        </Combobox.Options>
      </Combobox.Dropdown>
    </Combobox>
  );
}

/** What was typed may be part of a name that is known, or a whole one that is not. */
function useSuggestions(typed: string, tags: readonly string[], filter: JobsFilter): Suggestion[] {
  const stats = useStats().data;
  const runners = useRunners().data;
  const users = useAnalytics('user', '30d').data;
  return useMemo(() => {
    const text = typed.trim().toLowerCase();
    const known: Suggestion[] = [
      ...(stats?.types ?? []).map(({ type }) => ({ field: 'type' as const, value: type })),
      ...(stats?.queues ?? []).map(({ name }) => ({ field: 'queue' as const, value: name })),
      ...(users?.items ?? []).map(({ key }) => ({ field: 'userId' as const, value: key })),
      ...tags.map((tag) => ({ field: 'tag' as const, value: tag })),
      ...(runners ?? []).map(({ id }) => ({ field: 'runnerId' as const, value: id })),
    ];
    const isNew = ({ field, value }: Suggestion): boolean =>
      field === 'arguments' || filter.values[field]?.includes(value) !== true;
    const found = known.filter((each) => isNew(each) && nameOf(each).toLowerCase().includes(text));
    return [...found.slice(0, MOST_SUGGESTED), ...guesses(typed, found)];
  }, [typed, stats, runners, users, tags, filter]);
}

function guesses(typed: string, found: readonly Suggestion[]): Suggestion[] {
  const text = typed.trim();
  if (text === '') return [];
  const args = readArguments(text);
  const named = (['type', 'queue', 'userId', 'tag'] as const)
    .map((field) => ({ field, value: text }))
    .filter((guess) => args === null && !found.some((each) => nameOf(each) === nameOf(guess)));
  return [...(args === null ? [] : [{ field: 'arguments' as const, value: args }]), ...named];
}

function nameOf({ field, value }: Suggestion): string {
  return `${field === 'arguments' ? field : FIELD_NAMES[field]} ${value}`;
}

/** What is looked for, each to be taken away. */
export function FilterPills({ filter, onChange }: { filter: JobsFilter; onChange: (filter: JobsFilter) => void }) {
  const pills = [
    ...FIELDS.filter((field) => field !== 'status').flatMap((field) =>
      (filter.values[field] ?? []).map((value) => ({
        name: `${FIELD_NAMES[field]}: ${visible(value)}`,
        rest: withoutValue(filter, field, value),
      })),
    ),
    ...TIMES.flatMap((field) => {
      const time = filter.times[field];
      if (time === undefined) return [];
      const shown = Number.isNaN(Date.parse(time)) ? time : exactTime(time);
      return [{ name: `${FIELD_NAMES[field]} ${shown}`, rest: withTime(filter, field, null) }];
    }),
    ...(filter.arguments === null
      ? []
      : [{ name: `arguments contain ${visible(filter.arguments)}`, rest: { ...filter, arguments: null } }]),
  ];
  if (pills.length === 0) return null;
  return (
    <div className={classes.pills}>
      {pills.map(({ name, rest }) => (
        <Pill
          key={name}
          withRemoveButton
          onRemove={() => onChange(rest)}
          removeButtonProps={{ 'aria-label': `Remove ${name}`, 'aria-hidden': false, tabIndex: 0 }}
        >
          {name}
        </Pill>
      ))}
      <button
        type="button"
        className={classes.clear}
        onClick={() => onChange({ values: {}, times: {}, arguments: null })}
      >
        Clear all
      </button>
    </div>
  );
}
