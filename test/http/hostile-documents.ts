// Documents as an attacker, or a careless runner, sends them; as text, because some of them JSON.stringify cannot write.

const nested = (depth: number, open: string, close: string) => open.repeat(depth) + close.repeat(depth);
const list = (count: number, item: string) => `[${Array.from({ length: count }, () => item).join(',')}]`;
const object = (count: number) => `{${Array.from({ length: count }, (_, at) => `"k${at}":${at}`).join(',')}}`;

/** Values that every payload may hold. */
const FINE: string[] = [
  'true', 'false', '0', '-0', '1.5', '1e21', '-1e21', '1e-300', '9007199254740993', '0.1e1', '""', '" "', '"ä😀\u2028\u2029"', '"\\u00e4"', '"\\ud83d\\ude00"',
  '"\\u0001\\u001f\\b"', '"\\uffff\\ufeff"', '"<script>alert(1)</script>"', '"\'; DROP TABLE jobs; --"', '"$1 $' + '{x} {{x}}"', '"%00%ff"', '"\\\\u0000"', '"NaN"', '"\u202e\u0301"',
  '[]', '{}', '[null]', '{"":1}', '{" ":1}', '{"a":null}', '{"a":1,"a":2}', '{"toString":1,"hasOwnProperty":2,"valueOf":3}', '{"then":1}', '{"toJSON":"x"}', '{"length":-1}', '{"$ref":"#"}',
  '{"prototype":{}}', '{"0":1,"1":2}', '{"é":1}', '{"a.b":1,"a[0]":2}', '{"id":"x","status":"completed","leaseToken":"y"}', nested(64, '[', ']'), list(9999, '0'), object(4000), `"${'x'.repeat(200_000)}"`,
  list(1, '"\\u2028"'), '{"constructors":1}',
  '1e-7', '-1', '0.1', '1E2', '4.9e-324', '1e20', '"0"', '"1e400"', '"null"', '"true"', '"2026-01-31T12:00:00Z"', '"-infinity"', '"0001-01-01"', '"a\\tb\\nc"', '"\\r\\n\\r\\nHTTP/1.1 200 OK"', '"../../etc/passwd"',
  '"=cmd|calc"', '"\\u202e\\u2066"', '"\\ufdd0"', '"👩‍👩‍👧"', '"{}"', '"[]"', '[[]]', '[{}]', '[1,"1",true,null,{}]', '{"a":{"b":{"c":{}}}}', '{"jobs":[]}', '{"filter":{}}', '{"$where":"1"}', '{"name":"x","value":1}', '{"__proto":1}', '{"getter":{"get":1}}',
  '{"message":"m","code":"c"}', '{"type":"x","queue":"y"}', '{"percent":101}', '{"max":0,"perMs":0}', '{"strategy":"fixed"}', nested(60, '{"a":', '}').replace(':}', ':1}'), list(5000, '""'), '{"proto":1}', '[[],[[]],{"a":{}}]', '123456789012345678901',
];

/** Values that no payload may hold. */
const BAD: string[] = [
  '"\\u0000"', '"a\\u0000b"', '{"a\\u0000":1}', '{"a":{"b":["\\u0000"]}}', '"\\ud800"', '"\\udc00"', '"\\ud800x"', '"\\udc00\\ud800"', '{"\\ud800":1}', '["ok","\\udfff"]',
  '{"__proto__":{"isAdmin":true}}', '{"a":{"__proto__":1}}', '[{"__proto__":null}]', '{"constructor":{"prototype":{"isAdmin":true}}}', '{"a":[{"constructor":1}]}', '{"\\u005f\\u005fproto__":1}', '{"constr\\u0075ctor":1}',
  '1e400', '-1e400', '1e22', '-1e22', '1e308', '[1e999]', '{"n":1e23}', '10000000000000000000000',
  nested(65, '[', ']'), nested(5000, '[', ']'), nested(100_000, '[', ']'), nested(65, '{"a":', '}').replace(':}', ':1}'), `${'{"a":'.repeat(3000)}1${'}'.repeat(3000)}`,
  list(10_001, '0'), list(300_000, '0'), object(10_001), list(101, list(101, '1')),
  '1e22', '9'.repeat(400), `-${'9'.repeat(30)}`, '{"a":{"constructor":null}}', '[[["\\u0000"]]]', '"\\ud83d"', '"\\ude00\\ud83d"', '{"a":"\\udbff"}', list(10_001, '[]'),
];

/** Texts that are not JSON at all, or not in one encoding. */
const BROKEN: (string | Buffer)[] = [
  '', ' ', '{', '[', '"', '{"a"', '{"a":}', '[1,]', '{a:1}', "{'a':1}", 'NaN', 'Infinity', '-', '01', '1.', '.5', '0x10', '+1', 'undefined', 'nul', 'tru', '"\n"', '"\\x41"', '"\\u12"', '// comment', '{}{}', '[]]', '\u0000', '"\u0000"', '{"a":1}\u0000', '1e',
  Buffer.from([0xff, 0xfe, 0x7b, 0x00]), Buffer.from([0x22, 0xc3, 0x28, 0x22, 0x2c]),
  // Texts that are no UTF-8: overlong, a lone surrogate, cut off, beyond Unicode.
  Buffer.from([0x22, 0xc0, 0x80, 0x22]), Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), Buffer.from([0x22, 0xe2, 0x82, 0x22]), Buffer.from([0x22, 0xf5, 0x80, 0x80, 0x80, 0x22]), Buffer.from([0x22, 0xff, 0x22]),
  '[1 2]', '{"a" 1}', '{,}', '[,]', '{"a":1,}', '"\\u{61}"', '\'a\'', '`a`', '#', '<xml/>', 'type=a&b=c', '{"a":1}//', '/**/1', 'NULL', 'True', '1_000', '1e+', '--1', '"\\ud8"', '{"a":1}{', '[[[[', '"unfinished', '\ufeff\ufeff{}',
];

export const DOCUMENTS = { FINE, BAD, BROKEN };
