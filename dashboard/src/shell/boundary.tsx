import { Component, type ReactNode } from 'react';
import { Failure, Page } from '../parts/page';

/**
 * A screen that breaks leaves the rest standing. One that cannot be loaded was replaced by another version of the
 * dashboard.
 */
export class Boundary extends Component<{ children: ReactNode }, { error: unknown }> {
  override state = { error: undefined as unknown };

  static getDerivedStateFromError(error: unknown): { error: unknown } {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === undefined) return this.props.children;
    return (
      <Page title="This screen broke">
        <Failure error={error} onRetry={() => location.reload()} />
      </Page>
    );
  }
}
