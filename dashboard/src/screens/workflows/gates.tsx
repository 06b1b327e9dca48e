import { Button, Group, Text } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import type { GateLink, GateOutcome, Workflow } from '@baton/runner-sdk/protocol';
import { useState } from 'react';
import { post } from '../../api/call';
import { useRights } from '../../api/session';
import { CodeLine } from '../../parts/copy';
import { visible } from '../../parts/format';
import { FormDialog } from '../../parts/form';
import { JsonField, readJson } from '../../parts/json-field';
import { Card } from '../../parts/page';
import { Time } from '../../parts/time';
import { useAction } from '../../parts/use-action';
import classes from './workflow.module.css';

/** The decisions that the workflow waits for. */
export function Gates({ workflow: { id, jobs } }: { workflow: Workflow }) {
  const { isClient } = useRights();
  const [deciding, setDeciding] = useState<{ key: string; outcome: GateOutcome } | null>(null);
  const [link, setLink] = useState<(GateLink & { key: string }) | null>(null);
  const makeLink = useAction((key: string) => post<GateLink>(['workflows', id, 'gates', key, 'link'], {}), []);
  const waiting = Object.entries(jobs).flatMap(([key, { gate }]) => (gate?.waiting === true ? [{ key, gate }] : []));
  if (waiting.length === 0) return null;
  return (
    <Card title={waiting.length === 1 ? 'Waits for a decision' : 'Waits for decisions'}>
      <ul className={classes.gates}>
        {waiting.map(({ key, gate }) => (
          <li key={key}>
            <span>
              <strong>{visible(key)}</strong>
              {gate.expiresAt !== null && (
                <>
                  , expires <Time at={gate.expiresAt} />
                </>
              )}
            </span>
            {isClient && (
              <Group gap={6}>
                <Button size="xs" onClick={() => setDeciding({ key, outcome: 'opened' })}>
                  Open
                </Button>
                <Button size="xs" variant="default" onClick={() => setDeciding({ key, outcome: 'refused' })}>
                  Refuse
                </Button>
                <Button
                  size="xs"
                  variant="default"
                  onClick={() => void makeLink.run(key).then((made) => made && setLink({ ...made, key }))}
                >
                  Make a link
                </Button>
              </Group>
            )}
          </li>
        ))}
      </ul>
      {link !== null && (
        <div>
          Whoever has this link can decide <strong>{visible(link.key)}</strong>, until <Time at={link.expiresAt} />:
          <CodeLine code={link.url} />
        </div>
      )}
      {deciding !== null && (
        <Decide id={id} gateKey={deciding.key} outcome={deciding.outcome} onClose={() => setDeciding(null)} />
      )}
    </Card>
  );
}

function Decide({
  id,
  gateKey,
  outcome,
  onClose,
}: {
  id: string;
  gateKey: string;
  outcome: GateOutcome;
  onClose: () => void;
}) {
  const client = useQueryClient();
  const [text, setText] = useState('');
  const result = readJson(text);
  const isOpening = outcome === 'opened';
  const decide = async (): Promise<void> => {
    const told = isOpening && text.trim() !== '' && result.isValid ? { result: result.value } : {};
    await post(['workflows', id, 'gates', gateKey], { outcome, ...told });
    await client.invalidateQueries({ queryKey: ['workflow', id] });
  };
  return (
    <FormDialog
      title={`${isOpening ? 'Open' : 'Refuse'} ${visible(gateKey)}?`}
      action={isOpening ? 'Open the gate' : 'Refuse it'}
      onClose={onClose}
      onSubmit={decide}
      isReady={!isOpening || result.isValid}
    >
      {(faults) =>
        isOpening ? (
          <JsonField
            label="Result"
            description="JSON that the jobs after the gate receive; may be left empty"
            value={text}
            onChange={setText}
            error={faults.get('result')}
            minRows={4}
          />
        ) : (
          <Text size="sm">Jobs that depend on it are cancelled, unless they run whatever becomes of it.</Text>
        )
      }
    </FormDialog>
  );
}
