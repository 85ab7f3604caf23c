// The page at "/": a chat, what the server is doing, and its evidence. Talks to nobody but the server it came from.
'use strict';

const $ = id => document.getElementById(id);
const turns = [];      // what is sent: {role, content}
let running = null;    // the AbortController of the answer under way
let before = null;     // counters of the last look

function headers(more = {}) {
  const key = sessionStorage.getItem('key');
  return key ? {Authorization: `Bearer ${key}`, ...more} : more;
}

async function get(path) {
  const answer = await fetch(path, {headers: headers()});
  $('key').classList.toggle('wanted', answer.status === 401);
  if (!answer.ok) throw new Error(await reason(answer));
  return answer;
}

async function reason(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text).error.message;
  } catch {
    return `${answer.status} ${answer.statusText}`;
  }
}

// ---- the chat ----

function show(role, text) {
  const turn = document.createElement('div');
  turn.className = `turn ${role}`;
  const body = document.createElement('div');
  body.textContent = text;
  turn.append(body);
  $('talk').append(turn);
  turn.scrollIntoView({block: 'end'});
  return {turn, body};
}

// Server-sent events of a body, as they come.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    rest += value;
    let end;
    while ((end = rest.indexOf('\n\n')) >= 0) {
      const data = rest.slice(0, end).split('\n').filter(line => line.startsWith('data: ')).map(line => line.slice(6)).join('\n');
      rest = rest.slice(end + 2);
      if (data === '[DONE]') return;
      if (data) yield JSON.parse(data);
    }
  }
}

function thoughts(turn, body) {
  const details = document.createElement('details'), summary = document.createElement('summary'), text = document.createElement('div');
  summary.textContent = 'Thinking';
  details.append(summary, text);
  turn.insertBefore(details, body);
  return text;
}

async function answer() {
  const {turn, body} = show('assistant', '');
  const note = document.createElement('small');
  let text = '', thinking = null, tokens = 0, first = 0;
  running = new AbortController();
  busy(true);
  try {
    const reply = await fetch('/v1/chat/completions', {
      method: 'POST', signal: running.signal, headers: headers({'Content-Type': 'application/json'}),
      body: JSON.stringify({messages: turns, stream: true, stream_options: {include_usage: true}}),
    });
    $('key').classList.toggle('wanted', reply.status === 401);
    if (!reply.ok) throw new Error(await reason(reply));
    for await (const event of events(reply.body)) {
      if (event.error) throw new Error(event.error.message);
      if (event.usage) tokens = event.usage.completion_tokens;
      const delta = event.choices?.[0]?.delta;
      if (!delta) continue;
      const thought = delta.reasoning_content ?? delta.reasoning;
      if (thought) (thinking ??= thoughts(turn, body)).textContent += thought;
      if (delta.content) body.textContent = text += delta.content;
      if ((thought || delta.content) && !first) first = performance.now();
      $('talk').scrollTop = $('talk').scrollHeight;
    }
    const seconds = (performance.now() - first) / 1000;
    if (tokens > 1 && first) note.textContent = `${tokens} tokens, ${((tokens - 1) / seconds).toFixed(1)} a second`;
  } catch (error) {
    if (error.name === 'AbortError') {
      note.textContent = 'stopped';
    } else {
      note.textContent = error.message;
      note.className = 'error';
    }
  }
  turn.append(note);
  if (text) turns.push({role: 'assistant', content: text});
  running = null;
  busy(false);
}

function busy(is) {
  $('send').hidden = is;
  $('stop').hidden = !is;
  if (!is) $('text').focus();
}

$('ask').addEventListener('submit', event => {
  event.preventDefault();
  const text = $('text').value.trim();
  if (!text || running) return;
  $('text').value = '';
  // A question that was not answered is asked again with the next one, not twice.
  if (turns.at(-1)?.role === 'user') turns.pop();
  turns.push({role: 'user', content: text});
  show('user', text);
  answer();
});
$('text').addEventListener('keydown', event => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $('ask').requestSubmit();
});
$('stop').addEventListener('click', () => running?.abort());
$('fresh').addEventListener('click', () => {
  running?.abort();
  turns.length = 0;
  $('talk').replaceChildren();
  $('text').focus();
});
$('key').addEventListener('submit', event => {
  event.preventDefault();
  sessionStorage.setItem('key', $('secret').value);
  start();
});

// ---- what the server is doing ----

// Prometheus' text: name and labels, a space, a number. Lines of one name are added.
function numbers(text) {
  const found = {};
  for (const line of text.split('\n')) {
    if (!line || line.startsWith('#')) continue;
    const space = line.lastIndexOf(' '), name = line.slice(0, space).split('{')[0];
    found[name] = (found[name] ?? 0) + Number(line.slice(space + 1));
  }
  return found;
}

const percent = share => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

async function look() {
  if (document.hidden) return;
  try {
    const now = numbers(await (await get('/metrics')).text()), time = performance.now();
    const rate = name => before ? ((now[name] - before.now[name]) * 1000 / (time - before.time)).toFixed(1) : '–';
    $('rate').textContent = rate('vllm:generation_tokens_total');
    $('prompt-rate').textContent = rate('vllm:prompt_tokens_total');
    $('running').textContent = now['vllm:num_requests_running'];
    $('waiting').textContent = now['vllm:num_requests_waiting'];
    $('kv').textContent = percent(now['vllm:kv_cache_usage_perc']);
    $('kv-bar').style.width = percent(now['vllm:kv_cache_usage_perc']);
    $('slots').textContent = `${now['nvllm:state_slots_used']} of ${now['nvllm:state_slots_total']}`;
    $('slots-bar').style.width = percent(now['nvllm:state_slot_usage_perc']);
    const asked = now['vllm:prefix_cache_queries_total'];
    $('cached').textContent = asked ? percent(now['vllm:prefix_cache_hits_total'] / asked) : '–';
    before = {now, time};
    await get('/health');
    health('ready', true);
  } catch (error) {
    before = null;
    health(error.message, false);
  }
}

function health(text, good) {
  $('health').textContent = text;
  $('health').classList.toggle('bad', !good);
}

async function start() {
  try {
    const models = (await (await get('/v1/models')).json()).data;
    $('model').textContent = models[0].id;
    await evidence();
  } catch (error) {
    health(error.message, false);
  }
  look();
}

// ---- evidence ----

async function evidence() {
  const folders = (await (await get('/evidence')).json()).folders;
  $('evidence-title').hidden = folders.length === 0;
  $('evidence').replaceChildren(...folders.map(name => {
    const item = document.createElement('li'), open = document.createElement('button');
    open.textContent = name;
    open.addEventListener('click', async () => {
      // Fetched, not linked to: a link could not carry the key.
      const report = await get(`/evidence/report?folder=${encodeURIComponent(name)}`);
      window.open(URL.createObjectURL(await report.blob()));
    });
    item.append(open);
    return item;
  }));
}

start();
setInterval(look, 1000);
