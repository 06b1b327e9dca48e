import { ActionIcon, AppShell, Burger, Button, Group, Menu, Text, Tooltip, useMantineColorScheme } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { type ReactNode, useEffect } from 'react';
import { Link, useLocation } from 'wouter';
import { signOut, useRights } from '../api/session';
import { useConnectionStatus } from '../live/use-live';
import { Icon, Logo } from '../parts/icon';
import { ConnectionBanner } from './connection-banner';
import classes from './layout.module.css';
import { placesFor } from './navigation';
import { openPalette, Palette } from './palette';
import { useShortcuts } from './shortcuts';

export function Layout({ children }: { children: ReactNode }) {
  const [isOpen, { toggle, close }] = useDisclosure(false);
  const [location] = useLocation();
  useEffect(close, [location, close]);
  useShortcuts();
  return (
    <AppShell
      header={{ height: 52 }}
      navbar={{ width: 212, breakpoint: 'sm', collapsed: { mobile: !isOpen } }}
      padding={0}
      transitionDuration={120}
    >
      <AppShell.Header className={classes.header}>
        <a className="skip" href="#content">
          Skip to the content
        </a>
        <Burger opened={isOpen} onClick={toggle} hiddenFrom="sm" size="sm" aria-label="Navigation" />
        <Link href="/" className={classes.brand}>
          <Logo />
          Baton
        </Link>
        <div className={classes.space} />
        <Header />
      </AppShell.Header>
      <AppShell.Navbar className={classes.navbar}>
        <Navigation />
      </AppShell.Navbar>
      <AppShell.Main id="content" className={classes.main} tabIndex={-1}>
        <ConnectionBanner />
        {children}
      </AppShell.Main>
      <Palette />
    </AppShell>
  );
}

function Header() {
  const { isClient } = useRights();
  return (
    <Group gap={6} wrap="nowrap">
      <LiveMark />
      <Button
        variant="default"
        size="xs"
        onClick={openPalette}
        leftSection={<Icon name="search" size={14} />}
        rightSection={<kbd className={classes.kbd}>{isMac() ? '⌘K' : 'Ctrl K'}</kbd>}
        visibleFrom="sm"
        className={classes.search}
      >
        Search or go to
      </Button>
      <ActionIcon variant="default" size={30} onClick={openPalette} hiddenFrom="sm" aria-label="Search or go to">
        <Icon name="search" />
      </ActionIcon>
      {isClient && (
        <>
          <Button
            component={Link}
            href="/jobs/new"
            size="xs"
            leftSection={<Icon name="plus" size={14} />}
            visibleFrom="xs"
          >
            New job
          </Button>
          <ActionIcon component={Link} href="/jobs/new" size={30} variant="filled" hiddenFrom="xs" aria-label="New job">
            <Icon name="plus" />
          </ActionIcon>
        </>
      )}
      <ThemeToggle />
      <Account />
    </Group>
  );
}

/** Whether what is shown is live. */
function LiveMark() {
  const { state } = useConnectionStatus();
  const text = { open: 'Live', connecting: 'Connecting', lost: 'Connection lost', closed: 'Not connected' }[state];
  return (
    <Tooltip label={state === 'open' ? 'What you see changes as it happens' : text}>
      <div className={classes.live} data-state={state} role="status">
        <span className={classes.dot} />
        <span className={classes.liveText}>{text}</span>
      </div>
    </Tooltip>
  );
}

function ThemeToggle() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <ActionIcon variant="default" size={30} aria-label="Colours">
          <Icon name={colorScheme === 'dark' ? 'moon' : 'sun'} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {(['light', 'dark', 'auto'] as const).map((scheme) => (
          <Menu.Item
            key={scheme}
            onClick={() => setColorScheme(scheme)}
            rightSection={colorScheme === scheme ? <Icon name="check" size={14} /> : undefined}
          >
            {{ light: 'Light', dark: 'Dark', auto: 'As the system' }[scheme]}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

function Account() {
  const { session } = useRights();
  return (
    <Menu position="bottom-end" width={240}>
      <Menu.Target>
        <ActionIcon variant="default" size={30} aria-label="Account">
          <Icon name="user" />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <div className={classes.account}>
          <Text size="sm" fw={600} className="cut" title={session.name}>
            {session.name}
          </Text>
          <Text size="xs" c="dimmed">
            {session.role}
            {session.userId === null ? '' : `, jobs of ${session.userId}`}
          </Text>
        </div>
        <Menu.Divider />
        <Menu.Item leftSection={<Icon name="leave" />} onClick={() => void signOut()}>
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function Navigation() {
  const rights = useRights();
  const [location] = useLocation();
  const places = placesFor(rights);
  const groups = [...new Set(places.map(({ group }) => group))];
  return (
    <nav aria-label="Screens">
      {groups.map((group) => (
        <div key={group} className={classes.group}>
          <div className={classes.groupTitle}>{group}</div>
          {places
            .filter((place) => place.group === group)
            .map(({ path, title, icon }) => {
              const isHere = path === '/' ? location === '/' : location === path || location.startsWith(`${path}/`);
              return (
                <Link key={path} href={path} className={classes.place ?? ''} aria-current={isHere ? 'page' : undefined}>
                  <Icon name={icon} />
                  {title}
                </Link>
              );
            })}
        </div>
      ))}
    </nav>
  );
}

function isMac(): boolean {
  return /mac/i.test(navigator.userAgent);
}
