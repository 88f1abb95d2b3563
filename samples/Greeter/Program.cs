// A service and a caller: two processes of one program. Try it:
//   rpal run Greeter serve -- Greeter call Ada
using System.Text;
using Rpal;

if (args is ["serve"])
{
    await using RpalService greeter = RpalService.Register("greeter");
    greeter.Handle(1, static (name, ref answer) => answer.Write(Encoding.UTF8.GetBytes($"Hello {Encoding.UTF8.GetString(name)}, I am process {ProcessId()}.")));

    // As the kernel says it: Environment.ProcessId is what the runtime remembers.
    static string? ProcessId() => new FileInfo("/proc/self").LinkTarget;

    greeter.Handle<Numbers, long>(2, static (in numbers, ref sum) => sum = numbers.First + numbers.Second);
    var stop = new TaskCompletionSource();
    greeter.Handle(3, (_, ref _) => stop.SetResult());
    greeter.Enable();
    await stop.Task;
}
else
{
    RpalConnection greeter = await RpalConnection.ConnectAsync("greeter");
    byte[] answer = new byte[256];
    greeter.Call(1, Encoding.UTF8.GetBytes(args[1]), answer, out int length, Deadline.After(milliseconds: 100));
    Console.WriteLine(Encoding.UTF8.GetString(answer, 0, length));
    long sum = 0;
    CallStatus status = greeter.Call(2, new Numbers(19, 23), ref sum, Deadline.After(milliseconds: 100));
    Console.WriteLine($"{status}: 19 + 23 = {sum}");
    greeter.Call(3, [], [], out _, Deadline.After(milliseconds: 100));
}

internal readonly record struct Numbers(long First, long Second);
