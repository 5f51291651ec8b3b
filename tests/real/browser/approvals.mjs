// Drives a real Chromium over its debugging protocol: somebody logs in, looks at a call, and grants it, while pages of
// others try to. Prints what happened as one line of JSON.
//   PLAN='{"chromium", "page", "token", "call", "pictures"}' node approvals.mjs
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const plan = JSON.parse(process.env.PLAN);
const profile = mkdtempSync(join(tmpdir(), 'bartizan-chromium-'));
const root = process.getuid() === 0 ? ['--no-sandbox'] : [];
const browser = spawn(plan.chromium, [
  '--headless=new', ...root, '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-dev-shm-usage',
  '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank',
], { stdio: 'ignore' });

const told = { dialogs: 0, blocked: [], foreign: {} };

async function eventually(what, look) {
  for (let tries = 0; tries < 300; tries++) {
    const found = await look();
    if (found) return found;
    await pause(50);
  }
  throw new Error(`never: ${what}`);
}

async function connect() {
  const port = await eventually('chromium listens', () => {
    try { return readFileSync(join(profile, 'DevToolsActivePort'), 'utf8').split('\n')[0]; } catch { return ''; }
  });
  const targets = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
  const socket = new WebSocket(targets.find(target => target.type === 'page').webSocketDebuggerUrl);
  await new Promise((done, failed) => { socket.onopen = done; socket.onerror = failed; });
  const waiting = new Map();
  let next = 0;
  let loads = 0;
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.id) {
      const [done, failed] = waiting.get(message.id);
      waiting.delete(message.id);
      message.error ? failed(new Error(JSON.stringify(message.error))) : done(message.result);
    } else if (message.method === 'Page.javascriptDialogOpening') {
      told.dialogs++;
      send('Page.handleJavaScriptDialog', { accept: false });
    } else if (message.method === 'Page.loadEventFired') {
      loads++;
    } else if (message.method === 'Log.entryAdded') {
      told.blocked.push(message.params.entry.text);
    }
  };
  const send = (method, params = {}) => new Promise((done, failed) => {
    waiting.set(++next, [done, failed]);
    socket.send(JSON.stringify({ id: next, method, params }));
  });
  return { send, loads: () => loads };
}

try {
  const { send, loads } = await connect();
  await send('Page.enable');
  await send('Log.enable');
  const look = async code => (await send('Runtime.evaluate', { expression: code, returnByValue: true })).result.value;
  const loaded = async act => {
    const before = loads();
    await act();
    await eventually('the page is loaded', () => loads() > before);
  };
  const open = url => loaded(() => send('Page.navigate', { url }));
  const text = () => look('document.body.innerText');
  // A real click, where the element is, once it stays there: after the window had another size the page is laid out anew.
  const click = async selector => {
    const place = () => look(`(() => {
      const found = document.querySelector(${JSON.stringify(selector)});
      if (!found) return null;
      found.scrollIntoView({ block: 'center' });
      const box = found.getBoundingClientRect();
      const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
      return { x, y, hit: found.contains(document.elementFromPoint(x, y)), within: innerWidth };
    })()`);
    let before = await place();
    if (!before) throw new Error(`no ${selector} in ${await text()}`);
    const { x, y } = await eventually(`${selector} stays where it is`, async () => {
      await pause(100);
      const last = before;
      before = await place();
      return before?.hit && JSON.stringify(before) === JSON.stringify(last) && before;
    });
    const button = { x, y, button: 'left', clickCount: 1 };
    await loaded(async () => {
      await send('Input.dispatchMouseEvent', { type: 'mousePressed', ...button });
      await send('Input.dispatchMouseEvent', { type: 'mouseReleased', ...button });
    });
  };
  const picture = async name => {
    for (const theme of ['light', 'dark']) {
      await send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: theme }] });
      for (const [device, width, height] of [['desk', 1100, 800], ['phone', 390, 844]]) {
        await send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: device === 'phone' });
        (told.widths ??= []).push([name, device, width, await look('document.documentElement.scrollWidth')]);
        if (!plan.pictures) continue;
        const { data } = await send('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true });
        writeFileSync(join(plan.pictures, `${name}-${device}-${theme}.png`), Buffer.from(data, 'base64'));
      }
    }
    await send('Emulation.clearDeviceMetricsOverride');
  };
  const type = async (selector, value) => {
    await look(`document.querySelector(${JSON.stringify(selector)}).focus()`);
    await send('Input.insertText', { text: value });
  };

  await open(plan.page);
  await picture('login');
  await type('[name=name]', 'ann');
  await type('[name=token]', plan.token);
  await click('form.login button');
  const home = await look('location.href');
  told.list = await text();
  await picture('list');
  await click(`a[href$="/call/${plan.call}"]`);
  const call = await look('location.href');
  told.detail = await text();
  told.scripts = await look('document.scripts.length');
  told.active = await look('document.querySelectorAll("main img, main iframe, main a[href^=http], [onclick], [onerror]").length');
  await picture('detail');

  await open(`${call}/together`);
  told.together = await text();
  await picture('together');
  await open(call);

  // A page of somebody else, at another port of the same name: what it is sent, what it may frame, what it may press.
  const fields = await look(`Object.fromEntries([...document.querySelectorAll('.answer form input')].map(one => [one.name, one.value]))`);
  const cookies = [];
  const inputs = Object.entries(fields).map(([name, value]) => `<input name="${name}" value="${value}">`).join('');
  const evil = createServer((request, response) => {
    cookies.push(request.headers.cookie ?? '');
    response.setHeader('content-type', 'text/html');
    response.end(request.url === '/frame'
      ? `<iframe src="${call}"></iframe>`
      : `<form method="post" action="${call}/grant">${inputs}</form><script>document.forms[0].submit()</script>`);
  });
  await new Promise(done => evil.listen(0, '127.0.0.1', done));
  for (const host of ['127.0.0.1', 'localhost']) {
    const base = `http://${host}:${evil.address().port}`;
    await open(`${base}/frame`);
    told.foreign[`framed from ${host}`] = await look(`(() => {
      try { return document.querySelector('iframe').contentDocument?.body?.innerText ?? 'closed'; } catch { return 'closed'; }
    })()`);
    await open(`${base}/press`);
    told.foreign[`pressed from ${host}`] = await eventually('an answer', async () => (await look('location.href')).endsWith('/grant') && await text());
  }
  evil.close();
  evil.closeAllConnections();
  told.foreign.cookies = cookies.filter(Boolean);

  await open(call);
  await click('button.yes');
  told.granted = await text();
  await picture('granted');
  // Back, and once more: the same form counts once.
  await open(home);
  told.after = await text();
  await click('header button');
  told.out = await look('location.pathname');
  await open(call);
  told.outside = await look('location.pathname');
  console.log(JSON.stringify(told));
} finally {
  browser.kill('SIGKILL');
  await new Promise(done => browser.once('exit', done));
  rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}
process.exit(0);
