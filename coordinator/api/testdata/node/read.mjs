// Reads a status page with the client statuspage.io, and prints what it got as JSON.
import {Statuspage} from 'statuspage.io';

const client = new Statuspage('page');
client.setApiUrl(process.argv[2]);
const [summary, status, components, all, unresolved, planned] = await Promise.all([
  client.api.getSummary(), client.api.getStatus(), client.api.getComponents(), client.api.incidents.getAll(),
  client.api.incidents.getUnresolved(), client.api.scheduledMaintenances.getAll(),
]);
console.log(JSON.stringify({
  page: summary.page.name, indicator: status.status.indicator, components: components.components.length,
  incidents: all.incidents.map((i) => [i.status, ...i.incident_updates.map((u) => `${u.status}: ${u.body}`)]),
  unresolved: unresolved.incidents.length, planned: planned.scheduled_maintenances.length,
}));
