import { Alert, Button, Group, Modal, Select, Stack, TagsInput, Text, TextInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import type { ApiKey, CreatedApiKey, Role } from '@baton/runner-sdk/protocol';
import { useState } from 'react';
import { post, remove } from '../../api/call';
import { all } from '../../api/reads';
import { useRights } from '../../api/session';
import { useConfirm } from '../../parts/confirm';
import { CodeLine } from '../../parts/copy';
import { DurationInput } from '../../parts/duration-input';
import { FormDialog } from '../../parts/form';
import { visible } from '../../parts/format';
import { Icon } from '../../parts/icon';
import { tell } from '../../parts/notify';
import { Found, Page } from '../../parts/page';
import { Word } from '../../parts/status';
import { Table, type TableColumn } from '../../parts/table';
import { Time } from '../../parts/time';
import { useAction } from '../../parts/use-action';

const ROLES: readonly { value: Role; label: string }[] = [
  { value: 'producer', label: 'producer: creates jobs for any user, and reads all' },
  { value: 'user', label: 'user: creates and sees the jobs of one user' },
  { value: 'runner', label: 'runner: claims jobs and reports what came of them' },
  { value: 'viewer', label: 'viewer: reads' },
  { value: 'admin', label: 'admin: everything' },
];

export function ApiKeys() {
  const { session } = useRights();
  const confirm = useConfirm();
  const [isMaking, setMaking] = useState(false);
  const [rotating, setRotating] = useState<ApiKey | null>(null);
  const [made, setMade] = useState<CreatedApiKey | null>(null);
  const keys = useQuery({
    queryKey: ['api-keys'],
    queryFn: ({ signal }) => all<ApiKey>(['api-keys'], {}, signal),
    refetchInterval: 30_000,
  });
  const revoke = useAction((id: string) => remove<ApiKey>(['api-keys', id]), [['api-keys']]);

  const askToRevoke = async ({ id, name }: ApiKey): Promise<void> => {
    const answer = await confirm({
      title: `Revoke ${visible(name)}?`,
      text:
        id === session.keyId
          ? 'This is the key that you are signed in with. Within five seconds nothing takes it any more, and you are signed out.'
          : 'Within five seconds nothing takes it any more, and what waits with it ends. This cannot be undone.',
      action: 'Revoke the key',
      isDangerous: true,
    });
    if (answer !== null && (await revoke.run(id)) !== undefined) tell('The key is revoked.');
  };

  const columns: TableColumn<ApiKey>[] = [
    { key: 'name', header: 'Name', cell: ({ name }) => visible(name) },
    { key: 'id', header: 'Id', isMinor: true, cell: ({ id }) => <span className="mono">{visible(id)}</span> },
    { key: 'state', header: 'State', cell: (key) => <State apiKey={key} /> },
    {
      key: 'role',
      header: 'Role',
      cell: ({ role, userId }) => (userId === null ? role : `${role} ${visible(userId)}`),
    },
    { key: 'limits', header: 'Limited to', isMinor: true, cell: (key) => limitsOf(key) },
    {
      key: 'used',
      header: 'Last used',
      isNumber: true,
      cell: ({ lastUsedAt }) => <Time at={lastUsedAt} empty="never" />,
    },
    { key: 'made', header: 'Made', isNumber: true, isMinor: true, cell: ({ createdAt }) => <Time at={createdAt} /> },
    {
      key: 'ends',
      header: 'Expires',
      isNumber: true,
      isMinor: true,
      cell: ({ expiresAt }) => <Time at={expiresAt} empty="never" />,
    },
    {
      key: 'actions',
      header: <span className="hidden">Actions</span>,
      isNumber: true,
      cell: (key) =>
        isUsable(key) && (
          <Group gap={6} justify="flex-end" wrap="nowrap">
            {key.id !== 'configured' && key.id !== 'embedded' && (
              <Button
                size="compact-xs"
                variant="default"
                onClick={() => setRotating(key)}
                aria-label={`Rotate ${key.name}`}
              >
                Rotate
              </Button>
            )}
            <Button
              size="compact-xs"
              variant="default"
              onClick={() => void askToRevoke(key)}
              aria-label={`Revoke ${key.name}`}
            >
              Revoke
            </Button>
          </Group>
        ),
    },
  ];
  return (
    <Page
      title="API keys"
      actions={
        <Button size="xs" leftSection={<Icon name="plus" size={14} />} onClick={() => setMaking(true)}>
          New key
        </Button>
      }
    >
      <Found query={keys}>
        {(found) => (
          <Table
            label="API keys"
            rows={[...found].sort((one, other) => other.createdAt.localeCompare(one.createdAt))}
            columns={columns}
            keyOf={({ id }) => id}
            isDimmed={(key) => !isUsable(key)}
          />
        )}
      </Found>
      {isMaking && <NewKey onClose={() => setMaking(false)} onMade={setMade} />}
      {rotating !== null && <RotateKey apiKey={rotating} onClose={() => setRotating(null)} onMade={setMade} />}
      <Modal
        opened={made !== null}
        onClose={() => setMade(null)}
        title="The new key"
        size="lg"
        closeOnClickOutside={false}
      >
        {made !== null && (
          <Stack gap="sm">
            <Alert color="yellow" variant="outline">
              This is the only time that it is shown. Only a hash of it is stored.
            </Alert>
            <CodeLine code={made.key} />
            <Group justify="flex-end">
              <Button onClick={() => setMade(null)}>I have kept it</Button>
            </Group>
          </Stack>
        )}
      </Modal>
    </Page>
  );
}

function isUsable({ revokedAt, expiresAt }: ApiKey): boolean {
  return revokedAt === null && (expiresAt === null || Date.parse(expiresAt) > Date.now());
}

function State({ apiKey }: { apiKey: ApiKey }) {
  if (apiKey.revokedAt !== null) return <Word tone="bad">revoked</Word>;
  return isUsable(apiKey) ? <Word tone="good">good</Word> : <Word tone="quiet">expired</Word>;
}

function limitsOf({ queues, types }: ApiKey): string {
  return [
    queues.length > 0 && `queues ${queues.map(visible).join(', ')}`,
    types.length > 0 && `types ${types.map(visible).join(', ')}`,
  ]
    .filter((each) => each !== false)
    .join('; ');
}

function NewKey({ onClose, onMade }: { onClose: () => void; onMade: (key: CreatedApiKey) => void }) {
  const client = useQueryClient();
  const [name, setName] = useState('');
  const [role, setRole] = useState<Role>('producer');
  const [userId, setUserId] = useState('');
  const [queues, setQueues] = useState<string[]>([]);
  const [types, setTypes] = useState<string[]>([]);
  const [lifeMs, setLifeMs] = useState<number | null>(null);
  const make = async (): Promise<void> => {
    const created = await post<CreatedApiKey>(['api-keys'], {
      name: name.trim(),
      role,
      ...(role === 'user' ? { userId: userId.trim() } : {}),
      ...(queues.length > 0 && role !== 'admin' ? { queues } : {}),
      ...(types.length > 0 && role !== 'admin' ? { types } : {}),
      ...(lifeMs === null ? {} : { expiresAt: new Date(Date.now() + lifeMs).toISOString() }),
    });
    onMade(created);
    await client.invalidateQueries({ queryKey: ['api-keys'] });
  };
  return (
    <FormDialog
      title="New API key"
      action="Make the key"
      onClose={onClose}
      onSubmit={make}
      isReady={name.trim() !== ''}
    >
      {(faults) => (
        <>
          <TextInput
            label="Name"
            description="To recognise it by, such as the service that uses it"
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            error={faults.get('name')}
            required
            data-autofocus
          />
          <Select
            label="Role"
            data={[...ROLES]}
            value={role}
            onChange={(next) => setRole(next ?? 'producer')}
            allowDeselect={false}
            error={faults.get('role')}
          />
          {role === 'user' && (
            <TextInput
              label="User"
              value={userId}
              onChange={(event) => setUserId(event.currentTarget.value)}
              error={faults.get('userId')}
              required
            />
          )}
          {role !== 'admin' && (
            <>
              <TagsInput
                label="Only these queues"
                placeholder="all"
                value={queues}
                onChange={setQueues}
                error={faults.get('queues')}
              />
              <TagsInput
                label="Only these types"
                placeholder="all"
                value={types}
                onChange={setTypes}
                error={faults.get('types')}
              />
            </>
          )}
          <DurationInput
            label="Works for"
            description="Left empty: until it is revoked"
            value={lifeMs}
            onChange={setLifeMs}
            error={faults.get('expiresAt')}
          />
        </>
      )}
    </FormDialog>
  );
}

const DAY_MS = 86_400_000;

function RotateKey({
  apiKey,
  onClose,
  onMade,
}: {
  apiKey: ApiKey;
  onClose: () => void;
  onMade: (key: CreatedApiKey) => void;
}) {
  const client = useQueryClient();
  const [graceMs, setGraceMs] = useState<number | null>(DAY_MS);
  const rotate = async (): Promise<void> => {
    onMade(await post<CreatedApiKey>(['api-keys', apiKey.id, 'rotate'], { graceMs: graceMs ?? 0 }));
    await client.invalidateQueries({ queryKey: ['api-keys'] });
  };
  return (
    <FormDialog title={`Rotate ${visible(apiKey.name)}`} action="Rotate the key" onClose={onClose} onSubmit={rotate}>
      {(faults) => (
        <>
          <Text size="sm">A new key with the same rights is made. Both work until the old one ends.</Text>
          <DurationInput
            label="The old key works for"
            description="Left empty: it ends at once"
            value={graceMs}
            onChange={setGraceMs}
            error={faults.get('graceMs')}
          />
        </>
      )}
    </FormDialog>
  );
}
