import { Button, MantineProvider, Text } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { QueryClientProvider } from '@tanstack/react-query';
import { lazy, Suspense, useEffect, useMemo } from 'react';
import { Link, Route, Router, Switch, useLocation } from 'wouter';
import { whenSignedOut } from './api/call';
import { queryClient } from './api/query-client';
import { forgetSession, rightsOf, RightsContext, signOut, useRights, useSessionQuery } from './api/session';
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
const NewJob = lazy(() => import('./screens/new-job/new-job').then((it) => ({ default: it.NewJob })));
const JobScreen = lazy(() => import('./screens/job/job').then((it) => ({ default: it.JobScreen })));
const DeadLetters = lazy(() =>
  import('./screens/dead-letters/dead-letters').then((it) => ({ default: it.DeadLetters })),
);
const Schedules = lazy(() => import('./screens/schedules/schedules').then((it) => ({ default: it.Schedules })));
const ScheduleScreen = lazy(() =>
  import('./screens/schedules/schedule').then((it) => ({ default: it.ScheduleScreen })),
);
const Batches = lazy(() => import('./screens/batches/batches').then((it) => ({ default: it.Batches })));
const BatchScreen = lazy(() => import('./screens/batches/batch').then((it) => ({ default: it.BatchScreen })));
const Workflows = lazy(() => import('./screens/workflows/workflows').then((it) => ({ default: it.Workflows })));
const WorkflowScreen = lazy(() =>
  import('./screens/workflows/workflow').then((it) => ({ default: it.WorkflowScreen })),
);
const Queues = lazy(() => import('./screens/queues/queues').then((it) => ({ default: it.Queues })));
const QueueScreen = lazy(() => import('./screens/queues/queue').then((it) => ({ default: it.QueueScreen })));
const Runners = lazy(() => import('./screens/runners/runners').then((it) => ({ default: it.Runners })));
const Analytics = lazy(() => import('./screens/analytics/analytics').then((it) => ({ default: it.Analytics })));
const Alerts = lazy(() => import('./screens/alerts/alerts').then((it) => ({ default: it.Alerts })));
const Webhooks = lazy(() => import('./screens/webhooks/webhooks').then((it) => ({ default: it.Webhooks })));
const WebhookScreen = lazy(() => import('./screens/webhooks/webhook').then((it) => ({ default: it.WebhookScreen })));
const ApiKeys = lazy(() => import('./screens/api-keys/api-keys').then((it) => ({ default: it.ApiKeys })));
const Audit = lazy(() => import('./screens/audit/audit').then((it) => ({ default: it.Audit })));
const System = lazy(() => import('./screens/system/system').then((it) => ({ default: it.System })));

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
  const { isOperator, isAdmin, isClient } = useRights();
  return (
    <Boundary key={location}>
      <Suspense fallback={<Loading />}>
        <Switch>
          <Route path="/" component={Overview} />
          <Route path="/jobs" component={Jobs} />
          {isClient && <Route path="/jobs/new" component={NewJob} />}
          <Route path="/jobs/:id">{({ id }) => <JobScreen key={id} id={id} />}</Route>
          <Route path="/dead-letters" component={DeadLetters} />
          <Route path="/schedules" component={Schedules} />
          <Route path="/schedules/:id">{({ id }) => <ScheduleScreen key={id} id={id} />}</Route>
          <Route path="/batches" component={Batches} />
          <Route path="/batches/:id">{({ id }) => <BatchScreen key={id} id={id} />}</Route>
          <Route path="/workflows" component={Workflows} />
          <Route path="/workflows/:id">{({ id }) => <WorkflowScreen key={id} id={id} />}</Route>
          {isOperator && <Route path="/queues" component={Queues} />}
          {isOperator && (
            <Route path="/queues/:name">{({ name }) => <QueueScreen name={decodeURIComponent(name)} />}</Route>
          )}
          {isOperator && <Route path="/runners" component={Runners} />}
          <Route path="/analytics" component={Analytics} />
          {isOperator && <Route path="/alerts" component={Alerts} />}
          {isClient && <Route path="/webhooks" component={Webhooks} />}
          {isClient && <Route path="/webhooks/:id">{({ id }) => <WebhookScreen key={id} id={id} />}</Route>}
          {isAdmin && <Route path="/api-keys" component={ApiKeys} />}
          {isAdmin && <Route path="/audit" component={Audit} />}
          {isOperator && <Route path="/system" component={System} />}
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
