/** Why a row of a file is no job. */
export class RowFault {
  constructor(readonly detail: string) {}
}
