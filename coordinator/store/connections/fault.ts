/** A database that cannot serve Baton. The message is one line that says what is wrong and what to do. */
export class DatabaseFault extends Error {}
