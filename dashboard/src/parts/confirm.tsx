import { Button, Group, Modal, Stack, Text, TextInput } from '@mantine/core';
import { createContext, type ReactNode, useCallback, useContext, useState } from 'react';

export interface Question {
  title: string;
  /** What will happen, and to how much. */
  text: ReactNode;
  /** What the button says: the verb, not "OK". */
  action: string;
  isDangerous?: boolean;
  /** Asks for a word with it, such as a reason; its label. */
  asks?: string;
}

/** Null: no. Otherwise the word that was asked for, or an empty one. */
type Answer = string | null;
type Ask = (question: Question) => Promise<Answer>;

const ConfirmContext = createContext<Ask>(() => Promise.resolve(null));

/** Asks before something is done that cannot be undone, or that concerns many. */
export function useConfirm(): Ask {
  return useContext(ConfirmContext);
}

export function ConfirmProvider({ children }: { children: ReactNode }) {
  const [asked, setAsked] = useState<{ question: Question; answer: (answer: Answer) => void } | null>(null);
  const [word, setWord] = useState('');
  const ask = useCallback<Ask>(
    (question) =>
      new Promise((resolve) => {
        setWord('');
        setAsked({ question, answer: resolve });
      }),
    [],
  );
  const close = (answer: Answer): void => {
    asked?.answer(answer);
    setAsked(null);
  };
  return (
    <ConfirmContext value={ask}>
      {children}
      <Modal opened={asked !== null} onClose={() => close(null)} title={asked?.question.title} centered>
        {asked !== null && (
          <form
            onSubmit={(event) => {
              event.preventDefault();
              close(word.trim());
            }}
          >
            <Stack gap="md">
              <Text size="sm" component="div">
                {asked.question.text}
              </Text>
              {asked.question.asks !== undefined && (
                <TextInput
                  label={asked.question.asks}
                  value={word}
                  maxLength={500}
                  onChange={(event) => setWord(event.currentTarget.value)}
                  data-autofocus
                />
              )}
              <Group justify="flex-end" gap="xs">
                <Button variant="default" onClick={() => close(null)}>
                  Keep as it is
                </Button>
                <Button
                  type="submit"
                  color={asked.question.isDangerous === true ? 'red' : 'blue'}
                  data-autofocus={asked.question.asks === undefined ? true : undefined}
                >
                  {asked.question.action}
                </Button>
              </Group>
            </Stack>
          </form>
        )}
      </Modal>
    </ConfirmContext>
  );
}
