export interface ObjectSettings {
  bucket: string;
  /** Beginning of the keys. */
  prefix: string;
  region: string;
  /** Undefined: AWS. */
  endpoint: string | undefined;
  accessKeyId: string;
  secretAccessKey: string;
  /** How long a signed address is valid. */
  signedMs: number;
  /** The largest object. */
  maxBytes: number;
}
