using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Text;
using Rpal.Machine.Accounting;
using Rpal.Machine.Blocks;

namespace Rpal.Internal;

/// <summary>The counters of this process as System.Diagnostics.Metrics, read only when somebody listens. docs/metrics.md lists them.</summary>
internal static unsafe class FamilyMeter
{
    public const string Name = "Rpal";

    private const string ServiceTag = "rpal.service";

    private static readonly ConcurrentDictionary<RpalService, string> s_services = new();
    private static Meter? s_meter;

    /// <summary>Makes the instruments known. Once, when the process attaches.</summary>
    public static void Start()
    {
        Meter meter = s_meter = new Meter(Name);
        _ = meter.CreateObservableCounter("rpal.service.calls", () => OfServices(static s => s.Calls), "{call}", "Handlers of this process's services that returned.");
        _ = meter.CreateObservableCounter("rpal.service.received_time", () => OfServices(static s => s.ReceivedTime.TotalSeconds), "s", "Time that calling threads spent in this process's services. Zero unless the family accounts time.");
        _ = meter.CreateObservableCounter("rpal.service.lazy_switches", () => OfServices(static s => s.LazySwitches), "{switch}", "Calls that went on on this process's own threads, because they needed the kernel.");
        _ = meter.CreateObservableCounter("rpal.service.system_calls_in_place", () => OfServices(static s => s.SystemCallsInPlace), "{call}", "System calls of handlers that needed no switch.");
        _ = meter.CreateObservableCounter("rpal.donated_time", Donated, "s", "Time that this process's threads spent in services. Zero unless the family accounts time.");
    }

    public static void Add(RpalService service) => s_services[service] = service.Name;

    public static void Remove(RpalService service) => s_services.TryRemove(service, out _);

    private static IEnumerable<Measurement<T>> OfServices<T>(Func<RpalService, T> value)
        where T : struct =>
        s_services.Select(s => new Measurement<T>(value(s.Key), KeyValuePair.Create(ServiceTag, (object?)s.Value)));

    private static Measurement<double>[] Donated() =>
    [
        .. MemberRuntime.Donated
            .GroupBy(static r => r.Registration)
            .Select(static g => (Service: NameOf(g.Key), Time: Books.ToTime(Books.Sum(g))))
            .Where(static d => d.Service is not null)
            .Select(static d => new Measurement<double>(d.Time.TotalSeconds, KeyValuePair.Create(ServiceTag, (object?)d.Service))),
    ];

    /// <summary>Null: no service has this registration any more.</summary>
    private static string? NameOf(ulong registration)
    {
        for (int i = 0; i < FamilyLayout.ServiceCapacity; i++)
        {
            ServiceEntry* entry = FamilyHeader.Service(i);
            if (Volatile.Read(ref entry->Registration) == registration && (ServiceState)Volatile.Read(ref *(uint*)&entry->State) is ServiceState.Disabled or ServiceState.Enabled)
            {
                return Encoding.UTF8.GetString(entry->Name, Math.Clamp(entry->NameLengthBytes, 0, ServiceEntry.NameCapacityBytes));
            }
        }

        return null;
    }
}
