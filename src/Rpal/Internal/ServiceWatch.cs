using System.Runtime.CompilerServices;
using System.Text;
using System.Threading.Channels;

namespace Rpal.Internal;

/// <summary>One subscription: the states of one name, in order.</summary>
internal static class ServiceWatch
{
    public static async IAsyncEnumerable<ServiceChange> Run(string service, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        byte[] name = Encoding.UTF8.GetBytes(service);
        var changes = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });
        Action changed = () => changes.Writer.TryWrite(true);
        DirectoryWatch.Add(changed);
        try
        {
            ServiceChange? last = null;
            while (true)
            {
                cancellationToken.ThrowIfCancellationRequested();
                ServiceChange now = ServiceLook.Find(name);
                if (last is { Status: ServiceStatus.Disabled or ServiceStatus.Enabled } before && before.Registration != now.Registration)
                {
                    last = new(ServiceStatus.Gone, before.Registration);
                    yield return last.Value;
                }

                if (now.Status == ServiceStatus.Absent ? last is null : now != last)
                {
                    last = now;
                    yield return now;
                }

                await changes.Reader.ReadAsync(cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            DirectoryWatch.Remove(changed);
        }
    }
}
