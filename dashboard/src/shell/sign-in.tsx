import { Alert, Button, PasswordInput, Stack, Text, Title } from '@mantine/core';
import { useEffect, useState } from 'react';
import { ApiError, messageOf } from '../api/problem';
import { signIn, signInByLink } from '../api/session';
import { Logo } from '../parts/icon';
import classes from './sign-in.module.css';

/** For whoever is not signed in. A link of `npm start` has its token behind the `#`, which browsers send to nobody. */
export function SignIn() {
  const [credential, setCredential] = useState('');
  const [fault, setFault] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);

  const attempt = (act: () => Promise<unknown>): void => {
    setBusy(true);
    setFault(null);
    act()
      .catch((error: unknown) => setFault(explain(error)))
      .finally(() => setBusy(false));
  };

  useEffect(() => {
    document.title = 'Sign in · Baton';
    const tryLink = () => {
      const token = takeLinkToken();
      if (token !== null) attempt(() => signInByLink(token));
    };
    tryLink();
    // A link that is opened where this page stands changes only what is behind the `#`, and loads nothing.
    addEventListener('hashchange', tryLink);
    return () => removeEventListener('hashchange', tryLink);
  }, []);

  return (
    <main className={classes.frame}>
      <form
        className={`card ${classes.form}`}
        onSubmit={(event) => {
          event.preventDefault();
          if (credential.trim() !== '') attempt(() => signIn(credential.trim()));
        }}
      >
        <Stack gap="md">
          <div className={classes.brand}>
            <Logo size={28} />
            <Title order={1} size="h2">
              Baton
            </Title>
          </div>
          {fault !== null && (
            <Alert color="red" variant="outline" role="alert">
              {fault}
            </Alert>
          )}
          <PasswordInput
            label="API key or token"
            description="A key is exchanged for a session that ends after twelve hours."
            value={credential}
            onChange={(event) => setCredential(event.currentTarget.value)}
            autoComplete="current-password"
            name="api-key"
            data-autofocus
            autoFocus
          />
          <Button type="submit" loading={isBusy}>
            Sign in
          </Button>
          <Text size="xs" c="dimmed">
            A coordinator started with <code>npm start</code> keeps its admin key in <code>.baton/admin-key</code>.
          </Text>
        </Stack>
      </form>
    </main>
  );
}

/** What was there is gone from the address bar and the history then. */
function takeLinkToken(): string | null {
  const [, token] = /^#sign-in=([\w-]+)$/.exec(location.hash) ?? [];
  if (token === undefined) return null;
  history.replaceState(null, '', location.pathname + location.search);
  return decodeURIComponent(token);
}

function explain(error: unknown): string {
  if (error instanceof ApiError && error.status === 401) return error.message;
  return messageOf(error);
}
