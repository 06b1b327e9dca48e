import { ActionIcon, Button } from '@mantine/core';
import { useState } from 'react';
import { Icon } from './icon';

const SHOWN_MS = 1500;

/** Browsers give the clipboard only to pages that came over TLS or from this machine; the old way works everywhere. */
export async function copyText(text: string): Promise<void> {
  if (window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  area.style.position = 'fixed';
  area.style.opacity = '0';
  // A dialog keeps the focus to itself.
  const host = document.activeElement?.closest('[role="dialog"]') ?? document.body;
  host.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}

function useCopied(text: string | (() => string)): { isCopied: boolean; copy: () => void } {
  const [isCopied, setCopied] = useState(false);
  const copy = (): void => {
    void copyText(typeof text === 'string' ? text : text()).then(() => {
      setCopied(true);
      window.setTimeout(() => setCopied(false), SHOWN_MS);
    });
  };
  return { isCopied, copy };
}

export function CopyIcon({ text, label }: { text: string | (() => string); label: string }) {
  const { isCopied, copy } = useCopied(text);
  return (
    <ActionIcon
      variant="subtle"
      color="gray"
      size="sm"
      onClick={copy}
      aria-label={isCopied ? 'Copied' : label}
      title={label}
    >
      <Icon name={isCopied ? 'check' : 'copy'} size={14} />
    </ActionIcon>
  );
}

export function CopyButton({ text, label }: { text: string | (() => string); label: string }) {
  const { isCopied, copy } = useCopied(text);
  return (
    <Button
      size="xs"
      variant="default"
      onClick={copy}
      leftSection={<Icon name={isCopied ? 'check' : 'copy'} size={14} />}
    >
      {isCopied ? 'Copied' : label}
    </Button>
  );
}

/** A line to be run elsewhere. */
export function CodeLine({ code }: { code: string }) {
  return (
    <div style={{ position: 'relative', maxWidth: '100%' }}>
      <pre
        tabIndex={0}
        style={{
          margin: 0,
          padding: '0.6rem 2.4rem 0.6rem 0.75rem',
          background: 'var(--wash)',
          border: '1px solid var(--line)',
          borderRadius: 8,
          overflow: 'auto',
          textAlign: 'left',
          whiteSpace: 'pre-wrap',
          overflowWrap: 'anywhere',
          color: 'var(--mantine-color-text)',
        }}
      >
        {code}
      </pre>
      <div style={{ position: 'absolute', top: 6, right: 6 }}>
        <CopyIcon text={code} label="Copy" />
      </div>
    </div>
  );
}
