import { Button, MantineProvider, Text } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { QueryClientProvider } from '@tanstack/react-query';
import { lazy, Suspense, useEffect, useMemo } from 'react';
import { Link, Route, Router, Switch, useLocation } from 'wouter';
import { whenSignedOut } from './api/call';
import { queryClient } from './api/query-client';
import { forgetSession, rightsOf, RightsContext, signOut, useSessionQuery } from './api/session';
import { feed } from './live/feed';
import { ConfirmProvider } from './parts/confirm';
import { Empty, Failure, Loading, Page } from './parts/page';
import { basePath } from './place';
import { Boundary } from './shell/boundary';
import { Layout } from './shell/layout';
import { SignIn } from './shell/sign-in';
import { cssVariables, theme } from './shell/theme';

// Each screen is loaded when it is opened.
const Overview = lazy(() => import('./screens/overview/overview').then((it) => ({ default: it.Overview })));
const Jobs = lazy(() => import('./screens/jobs/jobs').then((it) => ({ default: it.Jobs })));
const JobScreen = lazy(() => import('./screens/job/job').then((it) => ({ default: it.JobScreen })));

/** Styles that components bring along carry the nonce of the page's answer, which its policy asks for. */
const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? '';

whenSignedOut(forgetSession);

export function App() {
  return (
    <MantineProvider
      theme={theme}
      cssVariablesResolver={cssVariables}
      defaultColorScheme="auto"
      getStyleNonce={() => nonce}
    >
      <QueryClientProvider client={queryClient}>
        <Notifications position="bottom-right" limit={4} />
        <Router base={basePath}>
          <Gate />
        </Router>
      </QueryClientProvider>
    </MantineProvider>
  );
}

/** Lets in whoever is signed in. */
function Gate() {
  const query = useSessionQuery();
  const session = query.data;
  const isIn = session !== undefined && session !== null;
  useEffect(() => feed.signedIn(isIn), [isIn]);
  const rights = useMemo(() => (session ? rightsOf(session) : null), [session]);
  if (query.isPending) return query.failureCount > 0 ? <Failure error={query.failureReason} /> : <Loading />;
  if (query.isError) return <Failure error={query.error} onRetry={() => void query.refetch()} />;
  if (rights === null) return <SignIn />;
  if (rights.session.role === 'runner') return <NoScreens />;
  return (
    <RightsContext value={rights}>
      <ConfirmProvider>
        <Layout>
          <Screens />
        </Layout>
      </ConfirmProvider>
    </RightsContext>
  );
}

function Screens() {
  const [location] = useLocation();
  return (
    <Boundary key={location}>
      <Suspense fallback={<Loading />}>
        <Switch>
          <Route path="/" component={Overview} />
          <Route path="/jobs" component={Jobs} />
          <Route path="/jobs/:id">{({ id }) => <JobScreen key={id} id={id} />}</Route>
          <Route>
            <Page title="Not found">
              <Empty title="There is no such screen.">
                <Link href="/">Back to the overview</Link>
              </Empty>
            </Page>
          </Route>
        </Switch>
      </Suspense>
    </Boundary>
  );
}

function NoScreens() {
  return (
    <Page title="Nothing to see">
      <Empty title="This key is for runners.">
        <Text size="sm">It may claim jobs, but see none. Sign in with a key of another role.</Text>
        <Button mt="md" onClick={() => void signOut()}>
          Sign out
        </Button>
      </Empty>
    </Page>
  );
}
