// node run.mjs FILE SCENARIO GIVEN: runs one scenario and tells what came out, a line of JSON each.
import { closeAll, tell } from './lib.mjs';

const [, , file, scenario, given] = process.argv;

process.on('unhandledRejection', (error) => tell('error', `unhandled: ${error?.stack ?? error}`));
try {
  const scenarios = await import(`./${file}.mjs`);
  tell('result', await scenarios[scenario](JSON.parse(given)));
} catch (error) {
  tell('error', `${error?.stack ?? error} ${JSON.stringify(error)}`);
}
closeAll();
setTimeout(() => process.exit(0), 200);
