import { useMantineColorScheme } from '@mantine/core';
import { Spotlight, spotlight, type SpotlightActionData } from '@mantine/spotlight';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useLocation } from 'wouter';
import { get } from '../api/call';
import { signOut, useRights } from '../api/session';
import { Icon } from '../parts/icon';
import { placesFor } from './navigation';
import type { Stats } from '@baton/runner-sdk/protocol';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export const openPalette = (): void => spotlight.open();

/** Goes to any screen, queue, type or job, and does what needs no screen. */
export function Palette() {
  const rights = useRights();
  const [, navigate] = useLocation();
  const { setColorScheme, colorScheme } = useMantineColorScheme();
  const [query, setQuery] = useState('');
  const stats = useQuery({
    queryKey: ['stats'],
    queryFn: ({ signal }) => get<Stats>(['stats'], {}, signal),
    enabled: query !== '',
  });
  const asked = query.trim();
  const go = (path: string) => () => navigate(path);
  const actions: SpotlightActionData[] = [
    ...(UUID.test(asked)
      ? [{ id: 'job', label: `Open the job ${asked}`, onClick: go(`/jobs/${asked.toLowerCase()}`), keywords: asked }]
      : []),
    ...placesFor(rights).map(({ path, title, icon, key }) => ({
      id: path,
      label: title,
      description: `g then ${key}`,
      leftSection: <Icon name={icon} />,
      onClick: go(path),
    })),
    ...(rights.isClient
      ? [
          {
            id: 'new-job',
            label: 'New job',
            description: 'n',
            leftSection: <Icon name="plus" />,
            onClick: go('/jobs/new'),
          },
        ]
      : []),
    ...(stats.data?.queues ?? []).map(({ name }) => ({
      id: `queue ${name}`,
      label: `Jobs in the queue ${name}`,
      leftSection: <Icon name="queue" />,
      onClick: go(`/jobs?queue=${encodeURIComponent(name)}`),
    })),
    ...(stats.data?.types ?? []).map(({ type }) => ({
      id: `type ${type}`,
      label: `Jobs of the type ${type}`,
      leftSection: <Icon name="jobs" />,
      onClick: go(`/jobs?type=${encodeURIComponent(type)}`),
    })),
    {
      id: 'colours',
      label: colorScheme === 'dark' ? 'Light colours' : 'Dark colours',
      leftSection: <Icon name={colorScheme === 'dark' ? 'sun' : 'moon'} />,
      onClick: () => setColorScheme(colorScheme === 'dark' ? 'light' : 'dark'),
    },
    {
      id: 'sign-out',
      label: 'Sign out',
      leftSection: <Icon name="leave" />,
      onClick: () => void signOut(),
    },
  ];
  return (
    <Spotlight
      actions={actions}
      query={query}
      onQueryChange={setQuery}
      nothingFound="Nothing has that name. A job's id opens the job."
      shortcut={['mod + K']}
      limit={12}
      scrollable
      maxHeight={420}
      searchProps={{
        leftSection: <Icon name="search" />,
        placeholder: 'Screen, queue, type, or the id of a job',
        'aria-label': 'Search or go to',
      }}
    />
  );
}
