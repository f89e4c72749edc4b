// Writes the dashboards as TypeScript, so that the compiler compares them with Grafana's published types. Usage: types.mjs FOLDER
import fs from 'node:fs';

const folder = process.argv[2];
// Enumerations are written as plain words in JSON.
let text = `import type { Dashboard } from '@grafana/schema';
type Plain<T> = T extends string ? \`\${T}\` : T extends Array<infer U> ? Plain<U>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
`;
fs.readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .forEach((name, index) => {
    text += `export const d${index}: Plain<Dashboard> = ${fs.readFileSync(`${folder}/${name}`, 'utf8')};\n`;
  });
fs.writeFileSync('types.ts', text);
