using System.Security.Cryptography;
using System.Text;
using Rpal.Internal;
using Rpal.Linux;
using Rpal.Machine.Accounting;
using Rpal.Machine.Blocks;

namespace Rpal;

/// <summary>How a service is set up.</summary>
public sealed record ServiceOptions
{
    /// <summary>Most receivers of one service.</summary>
    public const int ReceiversLimit = FamilyLayout.ReceiversPerService;

    /// <summary>As many calls can be in the service at the same time, each on a thread of its own. 1 to <see cref="ReceiversLimit"/>; default: one per CPU.</summary>
    public int Receivers { get; init; } = Math.Clamp(Environment.ProcessorCount, 1, ReceiversLimit);

    /// <summary>The service's key; a connection may insist on it. Random when null.</summary>
    public ulong? Key { get; init; }
}

/// <summary>A service that other members of the family can call.</summary>
/// <example><code>
/// await using RpalService service = RpalService.Register("adder");
/// service.Handle(1, static (in Numbers request, ref long answer) => answer = request.First + request.Second);
/// service.Enable();
/// </code></example>
public sealed class RpalService : IAsyncDisposable
{
    /// <summary>Most bytes of a name, in UTF-8.</summary>
    public const int NameBytesLimit = ServiceEntry.NameCapacityBytes;

    /// <summary>Methods are numbered 0 to this.</summary>
    public const int MethodLimit = Dispatcher.MethodCapacity - 1;

    /// <summary>How often a receiver that is in use is looked at, by whoever waits for it.</summary>
    private const int LookEveryMs = 1;

    private readonly Lock _lock = new();
    private readonly MethodHandler?[] _methods;
    private readonly ServiceOptions _options;
    private readonly int _index;
    private readonly ulong _registration;
    private readonly List<Receiver> _receivers = [];
    private ServiceState _state = ServiceState.Disabled;

    private unsafe RpalService(string name, int index, ServiceOptions options, ulong key)
    {
        Name = name;
        Key = key;
        _index = index;
        _registration = FamilyHeader.Service(index)->Registration;
        _options = options;
        _methods = Dispatcher.NewMethods(index);
        FamilyMeter.Add(this);
    }

    /// <summary>Its name, unique in the family.</summary>
    public string Name { get; }

    /// <summary>Its key: a connection may insist on it.</summary>
    public ulong Key { get; }

    /// <summary>Handlers that returned. Also exported as metrics of the meter "Rpal", with the three below: docs/metrics.md.</summary>
    public long Calls => Sum(static r => (long)r.Calls);

    /// <summary>Time that calling threads, of any member, spent in this service; calls that it made meanwhile included. Zero unless the family accounts time.</summary>
    public TimeSpan ReceivedTime => Books.ToTime(Books.ReceivedBy(_registration));

    /// <summary>How often a call was handed to this process's own kernel threads because it needed the kernel.</summary>
    public long LazySwitches => Sum(static r => (long)r.LazySwitches);

    /// <summary>System calls of handlers that ran without a switch, because they concern only the shared address space or nobody.</summary>
    public long SystemCallsInPlace => Sum(static r => (long)r.InPlaceCalls);

    /// <summary>Registers a service. It takes calls once it is enabled.</summary>
    /// <param name="name">1 to <see cref="NameBytesLimit"/> bytes of UTF-8.</param>
    /// <param name="options">Null for the defaults.</param>
    /// <exception cref="RpalException">Not in a family, name taken, too many services (256).</exception>
    /// <exception cref="ArgumentException">Name or options out of range.</exception>
    public static unsafe RpalService Register(string name, ServiceOptions? options = null)
    {
        options ??= new ServiceOptions();
        ServiceName.Check(name, nameof(name));
        if (options.Receivers is < 1 or > ServiceOptions.ReceiversLimit)
        {
            throw new ArgumentOutOfRangeException(nameof(options), options.Receivers,
                $"{nameof(ServiceOptions)}.{nameof(options.Receivers)} takes 1 to {ServiceOptions.ReceiversLimit} ({nameof(ServiceOptions)}.{nameof(ServiceOptions.ReceiversLimit)}), and is {options.Receivers}.");
        }

        MemberRuntime.Attach();
        ulong key = options.Key ?? BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong)));
        byte[] utf8 = Encoding.UTF8.GetBytes(name);
        fixed (byte* p = utf8)
        {
            RegisterServiceRequest request = new() { Name = p, NameLengthBytes = utf8.Length, Key = key };
            nint r = MemberRuntime.Ask(HostCall.RegisterService, (nint)(&request));
            return r >= 0 ? new RpalService(name, (int)r, options, key) : throw Refused(name, (Errno)(-r));
        }
    }

    /// <summary>Adds a method whose request and answer are plain values. A later one with the same number replaces it.</summary>
    /// <param name="method">0 to <see cref="MethodLimit"/>.</param>
    /// <param name="handler">Runs on one of the service's receiver threads, many at a time.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number is out of range.</exception>
    /// <exception cref="RpalException">The service is closed.</exception>
    public void Handle<TRequest, TAnswer>(int method, CallHandler<TRequest, TAnswer> handler)
        where TRequest : unmanaged
        where TAnswer : unmanaged
    {
        ArgumentNullException.ThrowIfNull(handler);
        Add(method, new ValueMethod<TRequest, TAnswer>(handler));
    }

    /// <summary>Adds a method whose request and answer are bytes. A later one with the same number replaces it.</summary>
    /// <param name="method">0 to <see cref="MethodLimit"/>.</param>
    /// <param name="handler">Runs on one of the service's receiver threads, many at a time.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number is out of range.</exception>
    /// <exception cref="RpalException">The service is closed.</exception>
    public void Handle(int method, BytesHandler handler)
    {
        ArgumentNullException.ThrowIfNull(handler);
        Add(method, new BytesMethod(handler));
    }

    /// <summary>Starts the receivers, the first time, and lets callers in.</summary>
    /// <exception cref="RpalException">Closed; or the receivers cannot be set up: more than 256 in this process, or the kernel refuses (see <see cref="RpalError"/>).</exception>
    public void Enable() => Enable(Dispatcher.Entry);

    internal unsafe void Enable(nint handler)
    {
        lock (_lock)
        {
            ThrowIfClosed();
            if (_state == ServiceState.Enabled)
            {
                return;
            }

            ServiceEntry* entry = FamilyHeader.Service(_index);
            while (_receivers.Count < _options.Receivers)
            {
                var receiver = new Receiver($"{Name} receiver {_receivers.Count}", _index, _registration, handler, Dispatcher.CookieOf(_methods));
                receiver.Start().GetAwaiter().GetResult();
                entry->Receivers[_receivers.Count] = (long)receiver.Block;
                _receivers.Add(receiver);
                Volatile.Write(ref entry->ReceiverCount, _receivers.Count);
            }

            foreach (Receiver receiver in _receivers)
            {
                receiver.Open();
            }

            Change(ServiceState.Enabled);                        // wakes those who wait
        }
    }

    /// <summary>Lets no further call in, until the service is enabled again. Calls that have begun are answered.</summary>
    /// <returns>
    /// Takes effect before it returns: from then on calls wait, each until its deadline, then <see cref="CallStatus.Busy"/>. The task completes
    /// when the calls that had begun are answered, or the service is enabled again or closed. A handler of the service must not wait for it.
    /// </returns>
    /// <remarks>Any number of times, from any thread. A service that is disabled stays so.</remarks>
    /// <exception cref="RpalException">The service is closed.</exception>
    public Task DisableAsync()
    {
        Receiver[] receivers;
        lock (_lock)
        {
            ThrowIfClosed();
            receivers = [.. _receivers];
            if (_state == ServiceState.Enabled)
            {
                Change(ServiceState.Disabled);                   // first: a sender that is refused looks at it
                foreach (Receiver receiver in receivers)
                {
                    receiver.Refuse();
                }
            }
        }

        return Drain(receivers);
    }

    /// <summary>Closes the service. Calls that have begun are answered first; later ones get <see cref="CallStatus.Closed"/>.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_lock)
        {
            if (_state == ServiceState.Gone)
            {
                return;
            }

            Change(ServiceState.Gone);
            FamilyMeter.Remove(this);
        }

        foreach (Receiver receiver in _receivers)
        {
            while (!receiver.TryStop())
            {
                await Task.Delay(LookEveryMs).ConfigureAwait(false);
            }

            receiver.Join();
        }

        Dispatcher.Forget(_index, _methods);
        _ = MemberRuntime.Ask(HostCall.SetServiceState, _index, (nint)ServiceState.Free);
    }

    private void Add(int method, MethodHandler handler)
    {
        if (method is < 0 or > MethodLimit)
        {
            throw new ArgumentOutOfRangeException(nameof(method), method, $"Methods of service {Name} are numbered 0 to {MethodLimit} ({nameof(RpalService)}.{nameof(MethodLimit)}), and this one is {method}.");
        }

        lock (_lock)
        {
            ThrowIfClosed();
            Volatile.Write(ref _methods[method], handler);
        }
    }

    private async Task Drain(Receiver[] receivers)
    {
        foreach (Receiver receiver in receivers)
        {
            while (receiver.IsInUse && IsDisabled())
            {
                await Task.Delay(LookEveryMs).ConfigureAwait(false);
            }
        }
    }

    private bool IsDisabled()
    {
        lock (_lock)
        {
            return _state == ServiceState.Disabled;
        }
    }

    private void Change(ServiceState state)
    {
        nint r = MemberRuntime.Ask(HostCall.SetServiceState, _index, (nint)state);
        bool noHost = r is -(int)Errno.EINVAL or -(int)Errno.ENOSYS;          // the kernel's own answer
        if (r < 0 && !(noHost && state == ServiceState.Gone))                 // with the host gone there is nobody left to tell
        {
            throw new RpalException(RpalError.Closed, noHost ? $"Service {Name} cannot become {state}: the family's host is gone." : $"Service {Name}: the host refused the state {state}: {ErrnoText.Describe((int)r)}.");
        }

        _state = state;
    }

    private unsafe long Sum(Func<ReceiverBlock, long> count)
    {
        lock (_lock)
        {
            return _receivers.Sum(r => count(*r.Block));
        }
    }

    private void ThrowIfClosed()
    {
        if (_state == ServiceState.Gone)
        {
            throw new RpalException(RpalError.Closed, $"Service {Name} is closed.");
        }
    }

    private static RpalException Refused(string name, Errno errno) => errno switch
    {
        Errno.EEXIST => new(RpalError.NameTaken, $"A service named '{name}' is registered already in this family{(ServiceName.Owner(name) is { } owner ? $", by {owner}" : "")}. Choose another name, or close that one first."),
        Errno.ENOSPC => new(RpalError.LimitReached, $"The family has {FamilyLayout.ServiceCapacity} services, the limit (ServiceCapacity)."),
        _ => new(RpalError.Unsupported, $"The host refused to register service '{name}': {ErrnoText.Describe((int)errno)}."),
    };
}
