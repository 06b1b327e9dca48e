import { Button, SegmentedControl } from '@mantine/core';
import { useId, useState } from 'react';
import { CopyIcon } from './copy';
import { visible } from './format';
import { Icon } from './icon';
import classes from './json.module.css';

/** How deep a tree is open at first, how many members one level shows at once, and how much of a long text. */
const OPEN_DEPTH = 2;
const MEMBERS = 100;
const CHARACTERS = 600;

/** A JSON value as a tree, or as text; only what is open is built, so a large one opens as fast as a small one. */
export function Json({ value, label }: { value: unknown; label: string }) {
  const [view, setView] = useState<'tree' | 'raw'>('tree');
  return (
    <div className={classes.json}>
      <div className={classes.tools}>
        <SegmentedControl
          size="xs"
          value={view}
          onChange={(next) => setView(next)}
          data={[
            { value: 'tree', label: 'Tree' },
            { value: 'raw', label: 'Raw' },
          ]}
          aria-label={`How ${label} is shown`}
        />
        <CopyIcon text={() => JSON.stringify(value, null, 2)} label={`Copy ${label}`} />
      </div>
      <div className={classes.body} tabIndex={0} role="region" aria-label={label}>
        {view === 'raw' ? (
          <pre className={classes.raw}>{visible(JSON.stringify(value, null, 2))}</pre>
        ) : (
          <ul className={classes.tree}>
            <Node name={null} value={value} depth={0} />
          </ul>
        )}
      </div>
    </div>
  );
}

function Node({ name, value, depth }: { name: string | number | null; value: unknown; depth: number }) {
  const isFolder = typeof value === 'object' && value !== null;
  if (!isFolder) {
    return (
      <li>
        <Name name={name} />
        <Leaf value={value} />
      </li>
    );
  }
  return <Folder name={name} value={value} depth={depth} />;
}

function Folder({ name, value, depth }: { name: string | number | null; value: object; depth: number }) {
  const isList = Array.isArray(value);
  const members: [string | number, unknown][] = isList
    ? (value as unknown[]).map((each, index) => [index, each])
    : Object.entries(value);
  const [isOpen, setOpen] = useState(depth < OPEN_DEPTH && members.length <= MEMBERS);
  const [shown, setShown] = useState(MEMBERS);
  const id = useId();
  const [opening, closing] = isList ? ['[', ']'] : ['{', '}'];
  if (members.length === 0) {
    return (
      <li>
        <Name name={name} />
        <span className={classes.sign}>
          {opening}
          {closing}
        </span>
      </li>
    );
  }
  return (
    <li>
      <button
        type="button"
        className={classes.toggle}
        aria-expanded={isOpen}
        aria-controls={id}
        onClick={() => setOpen(!isOpen)}
      >
        <Icon name={isOpen ? 'down' : 'right'} size={10} />
        <Name name={name} />
        <span className={classes.sign}>
          {opening}
          {!isOpen && ` ${members.length} ${closing}`}
        </span>
      </button>
      <ul id={id} hidden={!isOpen}>
        {isOpen &&
          members
            .slice(0, shown)
            .map(([key, each]) => <Node key={key} name={isList ? null : key} value={each} depth={depth + 1} />)}
        {isOpen && members.length > shown && (
          <li>
            <Button size="compact-xs" variant="subtle" onClick={() => setShown(shown + 10 * MEMBERS)}>
              {members.length - shown} more
            </Button>
          </li>
        )}
      </ul>
      {isOpen && <span className={classes.sign}>{closing}</span>}
    </li>
  );
}

function Name({ name }: { name: string | number | null }) {
  if (name === null) return null;
  return (
    <>
      <span className={classes.name}>{visible(String(name))}</span>
      <span className={classes.sign}>: </span>
    </>
  );
}

function Leaf({ value }: { value: unknown }) {
  const [isWhole, setWhole] = useState(false);
  if (typeof value !== 'string') return <span className={classes.word}>{String(value)}</span>;
  const text = isWhole ? value : value.slice(0, CHARACTERS);
  return (
    <span className={classes.text}>
      "{visible(text)}
      {value.length > text.length ? (
        <Button size="compact-xs" variant="subtle" onClick={() => setWhole(true)}>
          … {value.length - text.length} more characters
        </Button>
      ) : (
        '"'
      )}
    </span>
  );
}
